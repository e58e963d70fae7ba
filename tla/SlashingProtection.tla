-------------------------- MODULE SlashingProtection --------------------------
(* Workers have messages of one key signed. A worker asks for a message:      *)
(*   the check and the record are one transaction of the store                *)
(*   what contradicts a record is refused; what is on record may be repeated  *)
(*   after the transaction, and not before, the signature leaves              *)
(* A crash stops all workers. What is recorded and what has left stays.       *)
(*                                                                            *)
(* Only must-fail configurations change these constants:                      *)
(*   OneTransaction   no worker checks between another's check and record     *)
(*   RecordFirst      the signature leaves after the record                   *)
(*   Heeds            a refused message is not signed                         *)
EXTENDS Naturals, FiniteSets

CONSTANTS Workers, MostCrashes, OneTransaction, RecordFirst, Heeds

(* Two blocks of one slot, and a block of the next one.                       *)
Messages == {"one", "other", "next"}

Slot(m) ==
  CASE m = "one"   -> 1
    [] m = "other" -> 1
    [] m = "next"  -> 2

Slashable(m, n) == m # n /\ Slot(m) = Slot(n)

VARIABLES
  recorded,   \* what the store holds
  signed,     \* the messages whose signatures have left
  wants,      \* what each worker was asked for
  place,      \* where each worker is with it
  crashes     \* how many crashes there were

vars == <<recorded, signed, wants, place, crashes>>

TypeOK ==
  /\ recorded \subseteq Messages
  /\ signed \subseteq Messages
  /\ \A w \in Workers : wants[w] \in Messages
  /\ \A w \in Workers : place[w] \in {"idle", "checked", "allowed", "late"}
  /\ crashes \in 0..MostCrashes

Init ==
  /\ recorded = {}
  /\ signed = {}
  /\ wants = [w \in Workers |-> "one"]
  /\ place = [w \in Workers |-> "idle"]
  /\ crashes = 0

MayBeSigned(m) == \A n \in recorded : ~Slashable(m, n)

(* ------------------------------------------------------------------ steps *)

(* As it is: one transaction. *)
CheckAndRecord(w, m) ==
  /\ OneTransaction
  /\ RecordFirst
  /\ recorded' = IF MayBeSigned(m) THEN recorded \cup {m} ELSE recorded
  /\ place' = [place EXCEPT ![w] = IF MayBeSigned(m) \/ ~Heeds THEN "allowed" ELSE "idle"]

(* With a fault: a look alone. *)
Check(w, m) ==
  /\ ~(OneTransaction /\ RecordFirst)
  /\ UNCHANGED recorded
  /\ place' = [place EXCEPT ![w] =
       IF ~MayBeSigned(m) THEN "idle" ELSE IF RecordFirst THEN "checked" ELSE "allowed"]

Ask(w, m) ==
  /\ place[w] = "idle"
  /\ wants' = [wants EXCEPT ![w] = m]
  /\ (CheckAndRecord(w, m) \/ Check(w, m))
  /\ UNCHANGED <<signed, crashes>>

Record(w) ==
  /\ place[w] \in {"checked", "late"}
  /\ recorded' = recorded \cup {wants[w]}
  /\ place' = [place EXCEPT ![w] = IF place[w] = "checked" THEN "allowed" ELSE "idle"]
  /\ UNCHANGED <<signed, wants, crashes>>

Sign(w) ==
  /\ place[w] = "allowed"
  /\ signed' = signed \cup {wants[w]}
  /\ place' = [place EXCEPT ![w] = IF RecordFirst THEN "idle" ELSE "late"]
  /\ UNCHANGED <<recorded, wants, crashes>>

Crash ==
  /\ crashes < MostCrashes
  /\ crashes' = crashes + 1
  /\ place' = [w \in Workers |-> "idle"]
  /\ UNCHANGED <<recorded, signed, wants>>

Work == \E w \in Workers : Record(w) \/ Sign(w)

Next ==
  \/ \E w \in Workers, m \in Messages : Ask(w, m)
  \/ Work
  \/ Crash

Spec == Init /\ [][Next]_vars

(* ------------------------------------------------------------- properties *)

NoTwoAreSlashable == \A m \in signed, n \in signed : ~Slashable(m, n)

SignedIsRecorded == signed \subseteq recorded

===============================================================================
