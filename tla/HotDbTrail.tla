------------------------------ MODULE HotDbTrail ------------------------------
(* The DAG of committed blocks since finality, the states that are cached, and *)
(* workers that need the state of a block.                                     *)
(*                                                                             *)
(* A block is committed on its parent, with its state. The state stays cached  *)
(* up to a slot: the higher the power of two of which a multiple lies after    *)
(* the parent's slot, and not after the block's, the longer. A state that      *)
(* comes when its time is over stays: the line in which such states wait to go *)
(* has room for all here. States of the finalised and the head block and of    *)
(* the base are pinned. Finality moves the base to the finalised block, or to  *)
(* its closest ancestor that has a cached state, and drops what does not       *)
(* descend from the base.                                                      *)
(*                                                                             *)
(* A worker asks for the trail to a block: the closest cached state among the  *)
(* block's and its ancestors', and the blocks from there. If there are any, it *)
(* claims the block. The worker that has the claim replays and posts the state *)
(* back; another one that wants the same block waits for it, and asks again.   *)
(*                                                                             *)
(* Blocks 1, 2, 3, 4 are a chain, in the slots of their numbers, on the anchor *)
(* 0. Block 5 is in slot 4 and block 6 in slot 6, both on block 1.             *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   Claims        a worker claims the block that it replays                   *)
(*   KeepsAll      finality drops nothing that descends from its block         *)
(*   HasState      the base has a cached state                                 *)
(*   Frees         a claim ends with its replay                                *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS Blocks, Workers, Wanted, Spacing, Claims, KeepsAll, HasState, Frees

None == 9

Parent(b) == IF b \in {5, 6} THEN 1 ELSE IF b = 0 THEN 0 ELSE b - 1
Slot(b) == IF b = 5 THEN 4 ELSE b

\* The block and its ancestors.
Line(b) == IF b \in {5, 6} THEN {0, 1, b} ELSE 0..b

VARIABLES
  committed, \* blocks in the DAG, with the base
  base,
  pinned,    \* blocks whose state does not go
  cached,    \* blocks whose own state is cached
  late,      \* of these, those that came when their time was over
  newest,    \* the highest slot of a block that was committed
  pruned,    \* blocks that were dropped, or lie before the base
  wants,     \* the block whose state each worker wants, or None
  place,     \* where each worker is: "idle", "replays", "waits"
  claimed    \* blocks whose state is being replayed

vars == <<committed, base, pinned, cached, late, newest, pruned, wants, place, claimed>>

dag == <<committed, base, pinned, cached, late, newest, pruned>>

TypeOK ==
  /\ committed \subseteq Blocks \cup {0}
  /\ base \in committed
  /\ pinned \subseteq Blocks \cup {0}
  /\ cached \subseteq committed
  /\ late \subseteq cached
  /\ newest \in 0..6
  /\ pruned \subseteq Blocks \cup {0}
  /\ \A w \in Workers : wants[w] \in Blocks \cup {None}
  /\ \A w \in Workers : place[w] \in {"idle", "replays", "waits"}
  /\ claimed \subseteq Blocks

Init ==
  /\ committed = {0}
  /\ base = 0
  /\ pinned = {0}
  /\ cached = {0}
  /\ late = {}
  /\ newest = 0
  /\ pruned = {}
  /\ wants = [w \in Workers |-> None]
  /\ place = [w \in Workers |-> "idle"]
  /\ claimed = {}

(* ----------------------------------------------------------------- states *)

\* Whether a multiple of `power` lies after slot `from`, and not after `to`.
Passes(power, from, to) == \E n \in (from + 1)..to : n % power = 0

Power(from, to) == IF Passes(4, from, to) THEN 4 ELSE IF Passes(2, from, to) THEN 2 ELSE 1

\* The slot up to which the state of b is kept. The anchor's stays.
Expiry(b) == IF b = 0 THEN 99 ELSE Slot(b) + Spacing * Power(Slot(Parent(b)), Slot(b))

IsOver(b, now) == Expiry(b) < now

\* What stays cached of `states` when the newest slot is `now`.
Kept(states, lates, pins, now) == {b \in states : b \in pins \/ b \in lates \/ ~IsOver(b, now)}

\* What has come late once the state of b is there.
Lates(b, now) == IF IsOver(b, now) THEN late \cup {b} ELSE late

Max(a, b) == IF a > b THEN a ELSE b

Commit(b) ==
  /\ Parent(b) \in committed
  /\ committed' = committed \cup {b}
  /\ LET now == Max(newest, Slot(b))
     IN  /\ newest' = now
         /\ late' = Lates(b, now)
         /\ cached' = Kept(cached \cup {b}, Lates(b, now), pinned, now)
  /\ UNCHANGED <<base, pinned, pruned, wants, place, claimed>>

Post(b) ==
  IF b \notin committed \/ b \in cached
  THEN UNCHANGED <<cached, late>>
  ELSE /\ late' = Lates(b, newest)
       /\ cached' = Kept(cached \cup {b}, Lates(b, newest), pinned, newest)

(* --------------------------------------------------------------- finality *)

Descends(b, from) == from \in Line(b)

\* The block or its closest ancestor that has a cached state or is the base.
Closest(b) ==
  LET ends == {a \in Line(b) : a \in cached \/ a = base}
  IN  CHOOSE a \in ends : \A e \in ends : Descends(a, e)

Below(f) == {h \in committed : Descends(h, f)}

Base(f) == IF HasState THEN Closest(f) ELSE f

\* What finality leaves of the blocks.
Left(f, h) ==
  {b \in committed : IF KeepsAll THEN Descends(b, Base(f)) ELSE b \in {Base(f), h}}

\* Block f is finalised, and h is the head.
Prune(f, h) ==
  /\ base' = Base(f)
  /\ LET left == Left(f, h)
         pins == {Base(f), f, h}
     IN  /\ committed' = left
         /\ pinned' = pins
         /\ pruned' = pruned \cup (committed \ left)
         /\ late' = late \cap left
         /\ cached' = Kept(cached \cap left, late \cap left, pins, newest)
  /\ UNCHANGED <<newest, wants, place, claimed>>

(* ---------------------------------------------------------------- workers *)

\* The worker asks for the trail. A block that is not there is an answer, too.
Ask(w, b) ==
  /\ place' = [place EXCEPT ![w] =
       IF b \notin committed \/ b \in cached THEN "idle"
       ELSE IF b \in claimed THEN "waits"
       ELSE "replays"]
  /\ wants' = [wants EXCEPT ![w] = IF place'[w] = "idle" THEN None ELSE b]
  /\ claimed' = IF place'[w] = "replays" /\ Claims THEN claimed \cup {b} ELSE claimed
  /\ UNCHANGED dag

Want(w, b) ==
  /\ place[w] = "idle"
  /\ Ask(w, b)

AskAgain(w) ==
  /\ place[w] = "waits"
  /\ wants[w] \notin claimed
  /\ Ask(w, wants[w])

Replay(w) ==
  /\ place[w] = "replays"
  /\ Post(wants[w])
  /\ place' = [place EXCEPT ![w] = "idle"]
  /\ wants' = [wants EXCEPT ![w] = None]
  /\ claimed' = IF Frees THEN claimed \ {wants[w]} ELSE claimed
  /\ UNCHANGED <<committed, base, pinned, newest, pruned>>

Finished == UNCHANGED vars

Works == \E w \in Workers : AskAgain(w) \/ Replay(w)

Next ==
  \/ \E b \in Blocks \ committed : Commit(b)
  \/ \E f \in Blocks \cap committed : \E h \in Below(f) : Prune(f, h)
  \/ \E w \in Workers, b \in Wanted : Want(w, b)
  \/ Works
  \/ Finished

Spec == Init /\ [][Next]_vars /\ \A w \in Workers : WF_vars(AskAgain(w)) /\ WF_vars(Replay(w))

(* ------------------------------------------------------------- properties *)

BaseHasState == base \in cached

\* Every block that is there leads to the base by blocks that are there.
EveryBlockHasATrail == \A b \in committed : b = base \/ Parent(b) \in committed

SingleFlight ==
  \A v \in Workers, w \in Workers :
    v # w /\ place[v] = "replays" /\ place[w] = "replays" => wants[v] # wants[w]

\* Only what does not descend from the base, or lies before it, is dropped.
NoDescendantIsDropped == \A b \in pruned : ~Descends(b, base)

EveryWaitEnds == \A w \in Workers : (place[w] = "waits") ~> (place[w] # "waits")

===============================================================================
