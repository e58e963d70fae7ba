------------------------------ MODULE Quarantine ------------------------------
(* The firewall: items arrive in any order; each gets exactly one verdict.    *)
(*                                                                            *)
(* Quarantine decides about an item as soon as it has it:                     *)
(*   its root is known                -> ignored                              *)
(*   its root is unviable             -> rejected                             *)
(*   its parent's root is unviable    -> rejected                             *)
(*   its parent's root is not known   -> parked until the parent is known     *)
(*   its slot is in the future        -> parked until the slot                *)
(*   otherwise                        -> handed to a worker                   *)
(* A worker runs the transition. If the item is valid, the worker commits its *)
(* root to the store, and only then tells Quarantine. Quarantine's own view   *)
(* of what is committed follows the verdicts. A valid verdict releases the    *)
(* items that wait for the root. An invalid one makes the root unviable, and  *)
(* rejects the items that wait for it, and in turn those that wait for them.  *)
(* A bad signature says nothing about the root, which the honest copy shares. *)
(*                                                                            *)
(* Only must-fail configurations change these constants:                      *)
(*   OneStep       looking the parent up and parking are one step             *)
(*   Cascade       a rejection reaches the items that wait for the root       *)
(*   CommitFirst   the root is committed before the verdict leaves            *)
(*   BadSignatureCondemns   a bad signature makes the root unviable           *)
(*   Verifies      a worker verifies the signature                            *)
(*   TakesInTurn   a worker takes an item once it has ended the one before    *)
(*   Ends          a worker does not put an item back                         *)
(*   HearsOnce     an answer counts once                                      *)
EXTENDS Naturals, FiniteSets

CONSTANTS
  Workers, LastSlot, OneStep, Cascade, CommitFirst, BadSignatureCondemns,
  Verifies, TakesInTurn, Ends, HearsOnce

(* The items of the network: a chain 1 <- 2, a copy of 1 with a bad signature, *)
(* an invalid child 3 of 1, its child 4, and a grandchild 5.                   *)
Items == {"one", "copy", "two", "three", "four", "five"}

Root(i) ==
  CASE i = "one"   -> 1
    [] i = "copy"  -> 1
    [] i = "two"   -> 2
    [] i = "three" -> 3
    [] i = "four"  -> 4
    [] i = "five"  -> 5

Parent(i) ==
  CASE i = "one"   -> 0
    [] i = "copy"  -> 0
    [] i = "two"   -> 1
    [] i = "three" -> 1
    [] i = "four"  -> 3
    [] i = "five"  -> 4

Slot(i) ==
  CASE i = "one"   -> 1
    [] i = "copy"  -> 1
    [] i = "two"   -> 2
    [] i = "three" -> 1
    [] i = "four"  -> 2
    [] i = "five"  -> 2

Signed(i) == i # "copy"
Valid(i) == i # "three"

\* What a worker finds.
Passes(i) == Valid(i) /\ (Signed(i) \/ ~Verifies)

Roots == 0..5

VARIABLES
  place,      \* where each item is
  known,      \* roots for which Quarantine has seen a valid verdict
  unviable,   \* roots whose descendants Quarantine rejects
  committed,  \* roots in the store
  slot,       \* the current slot
  answers     \* number of verdicts that each item has got

vars == <<place, known, unviable, committed, slot, answers>>

(* away: not yet arrived; looked: parent looked up, not yet parked (only      *)
(* without OneStep); parent, slot: parked until then; ready: handed over;     *)
(* busy: with a worker; committed: the worker has committed it; told: the     *)
(* verdict is on its way; accepted, ignored, rejected: decided.               *)
Places ==
  {"away", "looked", "parent", "slot", "ready", "busy", "committed", "told",
   "accepted", "ignored", "rejected"}

Over == {"accepted", "ignored", "rejected"}

TypeOK ==
  /\ \A i \in Items : place[i] \in Places
  /\ known \subseteq Roots
  /\ unviable \subseteq Roots
  /\ committed \subseteq Roots
  /\ slot \in 1..LastSlot
  /\ \A i \in Items : answers[i] \in 0..2

Init ==
  /\ place = [i \in Items |-> "away"]
  /\ known = {0}
  /\ unviable = {}
  /\ committed = {0}
  /\ slot = 1
  /\ answers = [i \in Items |-> 0]

(* ------------------------------------------------------------- quarantine *)

\* Where an item belongs, given what Quarantine knows.
Decision(i, knownRoots, unviableRoots, now) ==
  IF Root(i) \in knownRoots THEN "ignored"
  ELSE IF Root(i) \in unviableRoots \/ Parent(i) \in unviableRoots THEN "rejected"
  ELSE IF Parent(i) \notin knownRoots THEN "parent"
  ELSE IF Slot(i) > now THEN "slot"
  ELSE "ready"

\* Counts the verdicts of the items that are decided between one map of places and the next.
Count(old, new) ==
  [i \in Items |->
    IF new[i] \in Over /\ old[i] \notin Over
    THEN answers[i] + 1
    ELSE answers[i]]

\* A set of unviable roots, with the roots of the parked items that descend from it.
RECURSIVE Condemned(_)
Condemned(roots) ==
  LET more == {Root(i) : i \in {j \in Items :
                /\ place[j] \in {"parent", "slot"}
                /\ Parent(j) \in roots}}
  IN  IF more \subseteq roots THEN roots ELSE Condemned(roots \cup more)

\* Item i is rejected for a reason that its root covers: its descendants are rejected with it.
Reject(i) ==
  LET roots == IF Cascade THEN Condemned({Root(i)}) ELSE {Root(i)}
      moved == [j \in Items |->
        IF j = i THEN "rejected"
        ELSE IF Cascade /\ place[j] \in {"parent", "slot"} /\ Parent(j) \in roots THEN "rejected"
        ELSE place[j]]
  IN  /\ unviable' = unviable \cup roots
      /\ place' = moved
      /\ answers' = Count(place, moved)

Arrive(i) ==
  /\ place[i] = "away"
  /\ LET decision == Decision(i, known, unviable, slot)
     IN  IF decision = "rejected"
         THEN Reject(i)
         ELSE LET moved == [place EXCEPT ![i] =
                    IF ~OneStep /\ decision = "parent" THEN "looked" ELSE decision]
              IN  /\ place' = moved
                  /\ answers' = Count(place, moved)
                  /\ UNCHANGED unviable
  /\ UNCHANGED <<known, committed, slot>>

\* The second half of an arrival whose look-up and parking are two steps.
Park(i) ==
  /\ place[i] = "looked"
  /\ place' = [place EXCEPT ![i] = "parent"]
  /\ UNCHANGED <<known, unviable, committed, slot, answers>>

\* The slot clock moves; the items that waited for the slot are decided again.
Tick ==
  /\ slot < LastSlot
  /\ slot' = slot + 1
  /\ LET moved == [i \in Items |->
           IF place[i] = "slot" /\ Slot(i) <= slot + 1
           THEN Decision(i, known, unviable, slot + 1)
           ELSE place[i]]
     IN  /\ place' = moved
         /\ answers' = Count(place, moved)
  /\ UNCHANGED <<known, unviable, committed>>

\* A worker's verdict on an item arrives.
HearValid(i) ==
  /\ place[i] = "told"
  /\ Passes(i)
  /\ known' = known \cup {Root(i)}
  /\ LET moved == [j \in Items |->
           IF j = i THEN "accepted"
           ELSE IF place[j] = "parent" /\ Parent(j) = Root(i)
           THEN Decision(j, known', unviable, slot)
           ELSE place[j]]
     IN  /\ place' = moved
         /\ answers' = Count(place, moved)
  /\ UNCHANGED <<unviable, committed, slot>>

HearInvalid(i) ==
  /\ place[i] = "told"
  /\ ~Passes(i)
  /\ IF Signed(i) \/ BadSignatureCondemns
     THEN Reject(i)
     ELSE /\ place' = [place EXCEPT ![i] = "rejected"]
          /\ answers' = [answers EXCEPT ![i] = @ + 1]
          /\ unviable' = unviable
  /\ UNCHANGED <<known, committed, slot>>

\* The fault: the answer is heard once more.
HearAgain(i) ==
  /\ ~HearsOnce
  /\ place[i] = "accepted"
  /\ answers[i] = 1
  /\ answers' = [answers EXCEPT ![i] = @ + 1]
  /\ UNCHANGED <<place, known, unviable, committed, slot>>

(* ---------------------------------------------------------------- workers *)

Busy == {i \in Items : place[i] \in {"busy", "committed"}}

Take(i) ==
  /\ place[i] = "ready"
  /\ TakesInTurn => Cardinality(Busy) < Workers
  /\ place' = [place EXCEPT ![i] = "busy"]
  /\ UNCHANGED <<known, unviable, committed, slot, answers>>

\* The fault: a worker gives way, each time.
PutBack(i) ==
  /\ ~Ends
  /\ place[i] = "busy"
  /\ place' = [place EXCEPT ![i] = "ready"]
  /\ UNCHANGED <<known, unviable, committed, slot, answers>>

\* The transition is over. An item whose parent the store does not have cannot be judged at all: it
\* stays with its worker (see ParentFirst).
Commit(i) ==
  /\ CommitFirst
  /\ place[i] = "busy"
  /\ Passes(i)
  /\ Parent(i) \in committed
  /\ committed' = committed \cup {Root(i)}
  /\ place' = [place EXCEPT ![i] = "committed"]
  /\ UNCHANGED <<known, unviable, slot, answers>>

Tell(i) ==
  /\ IF CommitFirst /\ Passes(i)
     THEN place[i] = "committed"
     ELSE place[i] = "busy"
  /\ place' = [place EXCEPT ![i] = "told"]
  /\ UNCHANGED <<known, unviable, committed, slot, answers>>

\* The fault: the verdict has left, and the commit follows at some later time.
CommitLate(i) ==
  /\ ~CommitFirst
  /\ place[i] \in {"told", "accepted"}
  /\ Passes(i)
  /\ Root(i) \notin committed
  /\ committed' = committed \cup {Root(i)}
  /\ UNCHANGED <<place, known, unviable, slot, answers>>

(* ------------------------------------------------------------------ whole *)

Finished ==
  /\ \A i \in Items : place[i] \in Over
  /\ slot = LastSlot
  /\ UNCHANGED vars

Quarantine ==
  \/ Tick
  \/ \E i \in Items : Park(i)
  \/ \E i \in Items : HearValid(i)
  \/ \E i \in Items : HearInvalid(i)
  \/ \E i \in Items : HearAgain(i)

Rewinder ==
  \/ \E i \in Items : Take(i)
  \/ \E i \in Items : PutBack(i)
  \/ \E i \in Items : Commit(i)
  \/ \E i \in Items : Tell(i)
  \/ \E i \in Items : CommitLate(i)

Network == \E i \in Items : Arrive(i)

Next ==
  \/ Network
  \/ Quarantine
  \/ Rewinder
  \/ Finished

Spec == Init /\ [][Next]_vars /\ WF_vars(Quarantine) /\ WF_vars(Rewinder) /\ WF_vars(Network)

(* ------------------------------------------------------------- properties *)

Decided == {i \in Items : place[i] \in Over}

OneVerdict == \A i \in Items : answers[i] = IF i \in Decided THEN 1 ELSE 0

\* Nothing is cleared, or even judged, before its parent is committed.
ParentFirst ==
  \A i \in Items :
    place[i] \in {"ready", "busy", "committed", "told", "accepted"} => Parent(i) \in committed

AcceptedIsCommitted == \A i \in Items : place[i] = "accepted" => Root(i) \in committed

\* An item is rejected for its own fault or an ancestor's, never for a forged copy.
HonestIsNotRejected == \A i \in {"one", "two"} : place[i] # "rejected"
GuiltyIsNotAccepted == \A i \in {"copy", "three", "four", "five"} : place[i] # "accepted"

BoundedWork == Cardinality(Busy) <= Workers

\* No item waits for a root that has been decided.
NobodyIsStranded ==
  \A i \in Items : place[i] = "parent" => Parent(i) \notin known \cup unviable

EveryItemIsAnswered == \A i \in Items : (place[i] # "away") ~> (answers[i] = 1)

==============================================================================
