-------------------------- MODULE PayloadAttestation --------------------------
(* Votes on the payload of one slot's block, which have a deadline.            *)
(*                                                                             *)
(* From Fetch on the data are asked of two nodes, of which the first may hang, *)
(* and each sees the block at some time or never. That there is no block is    *)
(* asked again until Due. Each vote is then signed; the signer of "b" answers  *)
(* at some time, or never. What is signed leaves once all is signed, and at    *)
(* Gather, Due and Late though others are not signed. A vote without data ends *)
(* at Due, and one without a signature at Late. The process may restart once;  *)
(* it does not vote in the slot in which it begins.                            *)
(*                                                                             *)
(* The machine acts before time passes: Tick waits for it, never for a node    *)
(* or a signer.                                                                *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   AllNodes      data are asked of every node, and not of the first alone    *)
(*   Gathers       what is signed leaves at its times, and not after the last  *)
(*   Guards        a process does not vote in the slot in which it begins      *)
(*   TimerIsFree   the thread that keeps the time waits for no node            *)
(*   GivesUp       a vote whose signature does not come ends at Late           *)
(*   EndsOnce      a vote that was missed takes no signature                   *)
EXTENDS Naturals, FiniteSets

CONSTANTS AllNodes, Gathers, Guards, TimerIsFree, GivesUp, EndsOnce

Fetch == 1
Gather == 2
Due == 3
Late == 4
End == 5

Nodes == {"first", "second"}
Votes == {"a", "b"}

VARIABLES
  hung,      \* nodes that never answer
  dead,      \* votes whose signer never answers
  sees,      \* nodes that have the block
  had,       \* whether a node that answers had the block when Due came
  hasData,
  stage,     \* where each vote is
  leaves,    \* the next time at which what is signed leaves
  left,      \* when each vote has left, or 6
  asks,      \* how many processes have had each vote signed
  outcomes,  \* how often each duty has ended, since the last restart
  restarted,
  time

vars ==
  <<hung, dead, sees, had, hasData, stage, leaves, left, asks, outcomes, restarted, time>>

Stages == {"waits", "signing", "signed", "sent", "missed"}
Over == {"sent", "missed"}

TypeOK ==
  /\ hung \subseteq {"first"}
  /\ dead \subseteq {"b"}
  /\ sees \subseteq Nodes
  /\ had \in BOOLEAN
  /\ hasData \in BOOLEAN
  /\ \A v \in Votes : stage[v] \in Stages
  /\ leaves \in Gather..End
  /\ \A v \in Votes : left[v] \in 0..6
  /\ \A v \in Votes : asks[v] \in 0..2
  /\ \A v \in Votes : outcomes[v] \in 0..2
  /\ restarted \in BOOLEAN
  /\ time \in 0..End

Init ==
  /\ hung \in {{}, {"first"}}
  /\ dead \in {{}, {"b"}}
  /\ sees = {}
  /\ had = FALSE
  /\ hasData = FALSE
  /\ stage = [v \in Votes |-> "waits"]
  /\ leaves = Gather
  /\ left = [v \in Votes |-> 6]
  /\ asks = [v \in Votes |-> 0]
  /\ outcomes = [v \in Votes |-> 0]
  /\ restarted = FALSE
  /\ time = 0

(* ---------------------------------------------------------------- machine *)

IsAwaited == \E v \in Votes : stage[v] = "waits"
HasBlock(n) == n \in sees /\ n \notin hung
Answered == IF AllNodes THEN \E n \in Nodes : HasBlock(n) ELSE HasBlock("first")

CanTake == ~hasData /\ IsAwaited /\ time >= Fetch /\ time < Due /\ Answered

Take ==
  /\ CanTake
  /\ hasData' = TRUE
  /\ UNCHANGED <<hung, dead, sees, had, stage, leaves, left, asks, outcomes, restarted, time>>

CanAsk(v) == hasData /\ stage[v] = "waits"

Ask(v) ==
  /\ CanAsk(v)
  /\ stage' = [stage EXCEPT ![v] = "signing"]
  /\ asks' = [asks EXCEPT ![v] = @ + 1]
  /\ UNCHANGED <<hung, dead, sees, had, hasData, leaves, left, outcomes, restarted, time>>

IsSigned == \E v \in Votes : stage[v] = "signed"
IsComplete == \A v \in Votes : stage[v] \notin {"waits", "signing"}
CanLeave == IsSigned /\ (IsComplete \/ (Gathers /\ time >= leaves))

NextLeave ==
  IF time < Gather THEN Gather ELSE IF time < Due THEN Due ELSE IF time < Late THEN Late ELSE End

Leave ==
  /\ CanLeave
  /\ stage' = [v \in Votes |-> IF stage[v] = "signed" THEN "sent" ELSE stage[v]]
  /\ left' = [v \in Votes |-> IF stage[v] = "signed" THEN time ELSE left[v]]
  /\ outcomes' = [v \in Votes |-> IF stage[v] = "signed" THEN outcomes[v] + 1 ELSE outcomes[v]]
  /\ leaves' = NextLeave
  /\ UNCHANGED <<hung, dead, sees, had, hasData, asks, restarted, time>>

IsBusy == CanTake \/ CanLeave \/ (\E v \in Votes : CanAsk(v)) \/ stage["a"] = "signing"

(* ------------------------------------------------------- nodes and signers *)

See(n) ==
  /\ n \notin sees
  /\ sees' = sees \cup {n}
  /\ UNCHANGED <<hung, dead, had, hasData, stage, leaves, left, asks, outcomes, restarted, time>>

\* The signer of "a" answers before time passes.
Sign(v) ==
  /\ stage[v] = "signing" \/ (~EndsOnce /\ stage[v] = "missed" /\ asks[v] > 0)
  /\ v \notin dead
  /\ stage' = [stage EXCEPT ![v] = "signed"]
  /\ UNCHANGED <<hung, dead, sees, had, hasData, leaves, left, asks, outcomes, restarted, time>>

(* ------------------------------------------------------ time and restarts *)

Ends(v, now) ==
  \/ stage[v] = "waits" /\ now >= Due
  \/ GivesUp /\ stage[v] = "signing" /\ now >= Late
  \/ GivesUp /\ stage[v] \notin Over /\ now >= End

\* The thread that keeps the time waits for the data.
IsHeld == ~TimerIsFree /\ time >= Fetch /\ ~hasData /\ IsAwaited

Tick ==
  /\ time < End
  /\ ~IsBusy
  /\ ~IsHeld
  /\ time' = time + 1
  /\ had' = IF time + 1 = Due THEN \E n \in Nodes : HasBlock(n) ELSE had
  /\ stage' = [v \in Votes |-> IF Ends(v, time + 1) THEN "missed" ELSE stage[v]]
  /\ outcomes' = [v \in Votes |-> IF Ends(v, time + 1) THEN outcomes[v] + 1 ELSE outcomes[v]]
  /\ UNCHANGED <<hung, dead, sees, hasData, leaves, left, asks, restarted>>

First == IF Guards THEN "missed" ELSE "waits"

Restart ==
  /\ ~restarted
  /\ time < End
  /\ restarted' = TRUE
  /\ hasData' = FALSE
  /\ stage' = [v \in Votes |-> First]
  /\ outcomes' = [v \in Votes |-> IF Guards THEN 1 ELSE 0]
  /\ leaves' = NextLeave
  /\ UNCHANGED <<hung, dead, sees, had, left, asks, time>>

\* A timer that is held may be held for ever.
Finished ==
  /\ time = End \/ IsHeld
  /\ UNCHANGED vars

Machine ==
  \/ Take
  \/ Leave
  \/ \E v \in Votes : Ask(v)

Signers == \E v \in Votes : Sign(v)

Next ==
  \/ Machine
  \/ Signers
  \/ \E n \in Nodes : See(n)
  \/ Restart
  \/ Tick
  \/ Finished

Spec == Init /\ [][Next]_vars /\ WF_vars(Machine) /\ WF_vars(Signers) /\ WF_vars(Tick)

(* ------------------------------------------------------------- properties *)

OneVote == \A v \in Votes : asks[v] <= 1

OneOutcome == \A v \in Votes : outcomes[v] = IF stage[v] \in Over THEN 1 ELSE 0

EndsWithItsSlot == time = End => \A v \in Votes : stage[v] \in Over

LeavesByTheDeadline == (time > Due /\ had /\ ~restarted) => left["a"] <= Due

EveryDutyEnds == \A v \in Votes : (stage[v] \notin Over) ~> (stage[v] \in Over)

==============================================================================
