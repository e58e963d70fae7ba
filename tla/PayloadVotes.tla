----------------------------- MODULE PayloadVotes -----------------------------
(* The votes on the payload of one slot's block, as the machine counts steps:  *)
(* an event, with all that follows from it at once. Nodes that hang or lag,    *)
(* and restarts, are in PayloadAttestation.                                    *)
(*                                                                             *)
(* At Fetch the duties of the slot begin, and the data are asked for. If there *)
(* is no block yet, they are asked for again a tick later, or when a block     *)
(* comes, until Due. With the data all signatures are asked for. What is       *)
(* signed leaves in one batch: once nothing is awaited any more, and at        *)
(* Gather, Due and Late though others are not signed. A vote without data ends *)
(* at Due, one without a signature at Late or when its signer refuses, and one *)
(* that nobody has confirmed at End.                                           *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   Gathers    what is signed leaves at its times, and not only when all is   *)
(*   Ends       a vote ends when its time is over                              *)
(*   Forgets    after the end a batch is no longer waited for                  *)
EXTENDS Naturals, FiniteSets

CONSTANTS Gathers, Ends, Forgets

Fetch == 1
Gather == 2
Due == 3
Late == 4
End == 5
Never == 9

Votes == {"a", "b"}

VARIABLES
  time,
  seen,     \* whether the nodes have the block
  data,     \* "none", "asked", "rests" after an answer without a block, or "fixed"
  stage,    \* where each vote is
  since,    \* when each vote was signed, or Never
  left,     \* when each vote left, or Never
  batches,  \* the batches that have left and are not confirmed
  ends      \* how often each duty has ended

vars == <<time, seen, data, stage, since, left, batches, ends>>

Stages == {"planned", "waits", "signing", "signed", "publishing", "sent", "missed"}
Over == {"sent", "missed"}

TypeOK ==
  /\ time \in 0..End
  /\ seen \in BOOLEAN
  /\ data \in {"none", "asked", "rests", "fixed"}
  /\ \A v \in Votes : stage[v] \in Stages
  /\ \A v \in Votes : since[v] \in 0..Never
  /\ \A v \in Votes : left[v] \in 0..Never
  /\ \A b \in batches : b \subseteq Votes
  /\ \A v \in Votes : ends[v] \in 0..2

Init ==
  /\ time = 0
  /\ seen = FALSE
  /\ data = "none"
  /\ stage = [v \in Votes |-> "planned"]
  /\ since = [v \in Votes |-> Never]
  /\ left = [v \in Votes |-> Never]
  /\ batches = {}
  /\ ends = [v \in Votes |-> 0]

\* The stages become `stages` at time `now`; what is signed then leaves if it must, or if nothing is
\* awaited.
Become(stages, now, must, waitsFor) ==
  LET signed == {v \in Votes : stages[v] = "signed"}
      awaits == \E v \in Votes : stages[v] \in {"waits", "signing"}
      leaving == IF must \/ ~awaits THEN signed ELSE {}
      after == [v \in Votes |-> IF v \in leaving THEN "publishing" ELSE stages[v]]
  IN  /\ stage' = after
      /\ left' = [v \in Votes |-> IF v \in leaving THEN now ELSE left[v]]
      /\ batches' = IF leaving = {} THEN waitsFor ELSE waitsFor \cup {leaving}
      /\ ends' = [v \in Votes |->
           IF after[v] \in Over /\ stage[v] # after[v] THEN ends[v] + 1 ELSE ends[v]]

(* ----------------------------------------------------------- the answers *)

See ==
  /\ ~seen
  /\ time < End
  /\ seen' = TRUE
  /\ data' = IF data = "rests" THEN "asked" ELSE data
  /\ UNCHANGED <<time, stage, since, left, batches, ends>>

NoBlock ==
  /\ data = "asked"
  /\ ~seen
  /\ data' = "rests"
  /\ UNCHANGED <<time, seen, stage, since, left, batches, ends>>

Data ==
  /\ data = "asked"
  /\ seen
  /\ data' = "fixed"
  /\ stage' = [v \in Votes |-> IF stage[v] = "waits" THEN "signing" ELSE stage[v]]
  /\ UNCHANGED <<time, seen, since, left, batches, ends>>

Sign(v) ==
  /\ stage[v] = "signing"
  /\ since' = [since EXCEPT ![v] = time]
  /\ Become([stage EXCEPT ![v] = "signed"], time, FALSE, batches)
  /\ UNCHANGED <<time, seen, data>>

Refuse(v) ==
  /\ stage[v] = "signing"
  /\ Become([stage EXCEPT ![v] = "missed"], time, FALSE, batches)
  /\ UNCHANGED <<time, seen, data, since>>

Confirm(b) ==
  /\ b \in batches
  /\ Become([v \in Votes |-> IF v \in b THEN "sent" ELSE stage[v]], time, FALSE, batches \ {b})
  /\ UNCHANGED <<time, seen, data, since>>

(* ------------------------------------------------------------------- time *)

After(v, now) ==
  IF stage[v] = "planned" /\ now = Fetch THEN "waits"
  ELSE IF ~Ends THEN stage[v]
  ELSE IF stage[v] = "waits" /\ now >= Due THEN "missed"
  ELSE IF stage[v] = "signing" /\ now >= Late THEN "missed"
  ELSE IF stage[v] \notin Over /\ now >= End THEN "missed"
  ELSE stage[v]

Tick ==
  /\ time < End
  /\ time' = time + 1
  /\ data' =
       IF data = "fixed" THEN "fixed"
       ELSE IF time + 1 >= Fetch /\ time + 1 < Due THEN "asked"
       ELSE "none"
  /\ Become(
       [v \in Votes |-> After(v, time + 1)], time + 1,
       Gathers /\ time + 1 \in {Gather, Due, Late},
       IF Forgets /\ time + 1 = End THEN {} ELSE batches)
  /\ UNCHANGED <<seen, since>>

Finished ==
  /\ time = End
  /\ UNCHANGED vars

Next ==
  \/ See
  \/ NoBlock
  \/ Data
  \/ \E v \in Votes : Sign(v) \/ Refuse(v)
  \/ \E b \in SUBSET Votes : Confirm(b)
  \/ Tick
  \/ Finished

Spec == Init /\ [][Next]_vars /\ WF_vars(Tick)

(* ------------------------------------------------------------- properties *)

OneOutcome == \A v \in Votes : ends[v] = IF stage[v] \in Over THEN 1 ELSE 0

EndsWithItsSlot == time = End => \A v \in Votes : stage[v] \in Over

\* What is signed before the deadline has left when it comes.
LeavesByTheDeadline == \A v \in Votes : since[v] < Due /\ time >= Due => left[v] <= Due

EveryDutyEnds == \A v \in Votes : (stage[v] # "planned") ~> (stage[v] \in Over)

===============================================================================
