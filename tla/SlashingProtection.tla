-------------------------- MODULE SlashingProtection --------------------------
(* Slashing protection: processes with one key and one durable database.       *)
(*                                                                             *)
(* A process wants to sign a message of one slot: any message, as its beacon   *)
(* node may be on any branch. In one step it checks that no other message of   *)
(* the slot is on record and records its own. Only then it signs, and the      *)
(* signature leaves. A process may crash at any step. It forgets everything    *)
(* but the database, and may want another message afterwards.                  *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   OneStep       the check and the record are one step                       *)
(*   RecordFirst   the record is written before the signature leaves           *)
EXTENDS Naturals, FiniteSets

CONSTANTS Processes, Messages, MaxCrashes, OneStep, RecordFirst

VARIABLES
  stage,     \* where each process is
  wants,     \* the message that each process wants to sign, or 0
  record,    \* messages in the database
  left,      \* messages whose signature has left
  crashes

vars == <<stage, wants, record, left, crashes>>

(* idle: wants nothing yet; wants: has a message; checked: has found no other   *)
(* on record; recorded: may sign; released: the signature has left, and the     *)
(* record is still to be written (only without RecordFirst); done; refused.     *)
Stages == {"idle", "wants", "checked", "recorded", "released", "done", "refused"}
Over == {"done", "refused"}

TypeOK ==
  /\ \A p \in Processes : stage[p] \in Stages
  /\ \A p \in Processes : wants[p] \in Messages \cup {0}
  /\ record \subseteq Messages
  /\ left \subseteq Messages
  /\ crashes \in 0..MaxCrashes

Init ==
  /\ stage = [p \in Processes |-> "idle"]
  /\ wants = [p \in Processes |-> 0]
  /\ record = {}
  /\ left = {}
  /\ crashes = 0

Want(p, m) ==
  /\ stage[p] = "idle"
  /\ stage' = [stage EXCEPT ![p] = "wants"]
  /\ wants' = [wants EXCEPT ![p] = m]
  /\ UNCHANGED <<record, left, crashes>>

\* The same message may be signed again.
IsFree(p) == record \subseteq {wants[p]}

CheckAndRecord(p) ==
  /\ OneStep /\ RecordFirst
  /\ stage[p] = "wants"
  /\ IsFree(p)
  /\ record' = record \cup {wants[p]}
  /\ stage' = [stage EXCEPT ![p] = "recorded"]
  /\ UNCHANGED <<wants, left, crashes>>

Check(p) ==
  /\ ~(OneStep /\ RecordFirst)
  /\ stage[p] = "wants"
  /\ IsFree(p)
  /\ stage' = [stage EXCEPT ![p] = "checked"]
  /\ UNCHANGED <<wants, record, left, crashes>>

Refuse(p) ==
  /\ stage[p] = "wants"
  /\ ~IsFree(p)
  /\ stage' = [stage EXCEPT ![p] = "refused"]
  /\ UNCHANGED <<wants, record, left, crashes>>

\* The second half of a check and record that are two steps.
Record(p) ==
  /\ RecordFirst
  /\ stage[p] = "checked"
  /\ record' = record \cup {wants[p]}
  /\ stage' = [stage EXCEPT ![p] = "recorded"]
  /\ UNCHANGED <<wants, left, crashes>>

Sign(p) ==
  /\ stage[p] = IF RecordFirst THEN "recorded" ELSE "checked"
  /\ left' = left \cup {wants[p]}
  /\ stage' = [stage EXCEPT ![p] = IF RecordFirst THEN "done" ELSE "released"]
  /\ UNCHANGED <<wants, record, crashes>>

\* The fault: the record follows the signature.
RecordLate(p) ==
  /\ stage[p] = "released"
  /\ record' = record \cup {wants[p]}
  /\ stage' = [stage EXCEPT ![p] = "done"]
  /\ UNCHANGED <<wants, left, crashes>>

Crash(p) ==
  /\ crashes < MaxCrashes
  /\ stage[p] # "idle"
  /\ crashes' = crashes + 1
  /\ stage' = [stage EXCEPT ![p] = "idle"]
  /\ wants' = [wants EXCEPT ![p] = 0]
  /\ UNCHANGED <<record, left>>

Finished ==
  /\ \A p \in Processes : stage[p] \in Over
  /\ UNCHANGED vars

Step(p) ==
  \/ \E m \in Messages : Want(p, m)
  \/ CheckAndRecord(p)
  \/ Check(p)
  \/ Refuse(p)
  \/ Record(p)
  \/ Sign(p)
  \/ RecordLate(p)

Next ==
  \/ \E p \in Processes : Step(p)
  \/ \E p \in Processes : Crash(p)
  \/ Finished

Spec == Init /\ [][Next]_vars /\ \A p \in Processes : WF_vars(Step(p))

NoSlashablePair == Cardinality(left) <= 1

RecordedFirst == left \subseteq record

OneOnRecord == Cardinality(record) <= 1

EveryProcessEnds == \A p \in Processes : (stage[p] \notin Over) ~> (stage[p] \in Over)

==============================================================================
