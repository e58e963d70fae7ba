-------------------------------- MODULE Duties --------------------------------
(* Validators' duties: each needs a signature of its key, and has a deadline.  *)
(*                                                                             *)
(* A duty begins at its time. A request for its signature goes to the signer   *)
(* of its key. The signer answers at some time, or never if it is dead. An     *)
(* answer is on its way until the machine takes it. The machine takes an       *)
(* answer for the duty that asked, if that duty still waits, and drops it      *)
(* otherwise. What is signed is published. A duty that is not done when its    *)
(* deadline comes is missed. So each duty ends once, by its deadline, and a    *)
(* dead signer ends the duties of its own key alone.                           *)
(*                                                                             *)
(* Duties "a1" and "a2" are of one key, one after the other; "b1" is of a key  *)
(* whose signer may be dead.                                                   *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   Correlated    an answer is taken by the duty that asked for it            *)
(*   HasDeadline   a duty ends at its deadline, and waits for no other         *)
(*   EndsOnce      a duty that was missed takes no signature                   *)
EXTENDS Naturals, FiniteSets

CONSTANTS Last, Correlated, HasDeadline, EndsOnce

Duties == {"a1", "a2", "b1"}

Key(d) == IF d = "b1" THEN "b" ELSE "a"
Begins(d) == IF d = "a2" THEN 1 ELSE 0
Deadline(d) == Begins(d) + 1

VARIABLES
  stage,     \* where each duty is
  asked,     \* duties whose signature was asked for and not yet made
  transit,   \* duties whose signature is on its way
  used,      \* the duty whose signature each duty uses, or "none"
  dead,      \* keys whose signer never answers
  time,
  outcomes   \* how often each duty has ended

vars == <<stage, asked, transit, used, dead, time, outcomes>>

Stages == {"planned", "waits", "signed", "sent", "missed"}
Over == {"sent", "missed"}

TypeOK ==
  /\ \A d \in Duties : stage[d] \in Stages
  /\ asked \subseteq Duties
  /\ transit \subseteq Duties
  /\ \A d \in Duties : used[d] \in Duties \cup {"none"}
  /\ dead \subseteq {"b"}
  /\ time \in 0..Last
  /\ \A d \in Duties : outcomes[d] \in 0..2

Init ==
  /\ stage = [d \in Duties |-> "planned"]
  /\ asked = {}
  /\ transit = {}
  /\ used = [d \in Duties |-> "none"]
  /\ dead \in {{}, {"b"}}
  /\ time = 0
  /\ outcomes = [d \in Duties |-> 0]

(* ---------------------------------------------------------------- machine *)

\* Without deadlines one worker does one duty at a time, and waits as long as it takes.
Free == HasDeadline \/ \A e \in Duties : stage[e] \notin {"waits", "signed"}

Ask(d) ==
  /\ stage[d] = "planned"
  /\ time >= Begins(d)
  /\ Free
  /\ stage' = [stage EXCEPT ![d] = "waits"]
  /\ asked' = asked \cup {d}
  /\ UNCHANGED <<transit, used, dead, time, outcomes>>

\* The signature that d asked for arrives and is taken by e.
Take(d, e) ==
  /\ d \in transit
  /\ stage[e] = "waits" \/ (~EndsOnce /\ stage[e] = "missed")
  /\ IF Correlated THEN e = d ELSE Key(e) = Key(d)
  /\ stage' = [stage EXCEPT ![e] = "signed"]
  /\ used' = [used EXCEPT ![e] = d]
  /\ transit' = transit \ {d}
  /\ UNCHANGED <<asked, dead, time, outcomes>>

\* A signature that no duty waits for is dropped. Without correlation it stays in the channel.
Drop(d) ==
  /\ Correlated
  /\ d \in transit
  /\ stage[d] # "waits"
  /\ transit' = transit \ {d}
  /\ UNCHANGED <<stage, asked, used, dead, time, outcomes>>

Publish(d) ==
  /\ stage[d] = "signed"
  /\ stage' = [stage EXCEPT ![d] = "sent"]
  /\ outcomes' = [outcomes EXCEPT ![d] = @ + 1]
  /\ UNCHANGED <<asked, transit, used, dead, time>>

(* ---------------------------------------------------------------- signers *)

Sign(d) ==
  /\ d \in asked
  /\ Key(d) \notin dead
  /\ asked' = asked \ {d}
  /\ transit' = transit \cup {d}
  /\ UNCHANGED <<stage, used, dead, time, outcomes>>

(* ------------------------------------------------------------------- time *)

Late(d, now) == HasDeadline /\ stage[d] \notin Over /\ Deadline(d) <= now

Tick ==
  /\ time < Last
  /\ time' = time + 1
  /\ stage' = [d \in Duties |-> IF Late(d, time + 1) THEN "missed" ELSE stage[d]]
  /\ outcomes' = [d \in Duties |-> IF Late(d, time + 1) THEN outcomes[d] + 1 ELSE outcomes[d]]
  /\ UNCHANGED <<asked, transit, used, dead>>

Finished ==
  /\ time = Last
  /\ UNCHANGED vars

Machine ==
  \/ \E d \in Duties : Ask(d)
  \/ \E d \in Duties : \E e \in Duties : Take(d, e)
  \/ \E d \in Duties : Drop(d)
  \/ \E d \in Duties : Publish(d)

Signers == \E d \in Duties : Sign(d)

Next ==
  \/ Machine
  \/ Signers
  \/ Tick
  \/ Finished

Spec == Init /\ [][Next]_vars /\ WF_vars(Machine) /\ WF_vars(Signers) /\ WF_vars(Tick)

(* ------------------------------------------------------------- properties *)

OneOutcome == \A d \in Duties : outcomes[d] = IF stage[d] \in Over THEN 1 ELSE 0

OwnSignature == \A d \in Duties : used[d] \in {"none", d}

EndsByItsDeadline == \A d \in Duties : time >= Deadline(d) => stage[d] \in Over

EveryDutyEnds == \A d \in Duties : (stage[d] \notin Over) ~> (stage[d] \in Over)

==============================================================================
