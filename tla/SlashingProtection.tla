-------------------------- MODULE SlashingProtection --------------------------
(* Workers have messages of one key signed. A worker asks for a message:      *)
(*   the check and the record are one transaction of the store                *)
(*   what is on record may be repeated; what contradicts a record is refused, *)
(*   and so is what is not above the watermark                                *)
(*   the first record sets the watermark; a record that is forgotten, since   *)
(*   the store keeps MostRecords, raises it to its own slot                   *)
(*   after the transaction, and not before, the signature leaves              *)
(* A crash stops all workers. What is recorded and what has left stays.       *)
(*                                                                            *)
(* Only must-fail configurations change these constants:                      *)
(*   OneTransaction   no worker checks between another's check and record     *)
(*   RecordFirst      the signature leaves after the record                   *)
(*   Heeds            a refused message is not signed                         *)
EXTENDS Naturals, FiniteSets

CONSTANTS Workers, MostCrashes, MostRecords, OneTransaction, RecordFirst, Heeds

(* Two blocks of one slot, and a block of each of the next two.               *)
Messages == {"one", "other", "next", "last"}

Slot(m) ==
  CASE m = "one"   -> 1
    [] m = "other" -> 1
    [] m = "next"  -> 2
    [] m = "last"  -> 3

Slashable(m, n) == m # n /\ Slot(m) = Slot(n)

VARIABLES
  recorded,   \* what the store holds
  watermark,  \* the slot up to which nothing more is signed, or 0
  signed,     \* the messages whose signatures have left
  wants,      \* what each worker was asked for
  place,      \* where each worker is with it
  crashes     \* how many crashes there were

vars == <<recorded, watermark, signed, wants, place, crashes>>

TypeOK ==
  /\ recorded \subseteq Messages
  /\ watermark \in 0..3
  /\ signed \subseteq Messages
  /\ \A w \in Workers : wants[w] \in Messages
  /\ \A w \in Workers : place[w] \in {"idle", "checked", "allowed", "late"}
  /\ crashes \in 0..MostCrashes

Init ==
  /\ recorded = {}
  /\ watermark = 0
  /\ signed = {}
  /\ wants = [w \in Workers |-> "one"]
  /\ place = [w \in Workers |-> "idle"]
  /\ crashes = 0

MayBeSigned(m) ==
  \/ m \in recorded
  \/ Slot(m) > watermark /\ \A n \in recorded : ~Slashable(m, n)

(* A message comes to the records, and the oldest one goes if there is no room. *)
Put(m) ==
  LET all == recorded \cup {m}
      oldest == CHOOSE n \in all : \A o \in all : Slot(n) <= Slot(o)
      isFull == Cardinality(all) > MostRecords
  IN  /\ recorded' = IF isFull THEN all \ {oldest} ELSE all
      /\ watermark' =
           IF isFull /\ Slot(oldest) > watermark THEN Slot(oldest)
           ELSE IF watermark = 0 THEN Slot(m)
           ELSE watermark

(* ------------------------------------------------------------------ steps *)

(* As it is: one transaction. *)
CheckAndRecord(w, m) ==
  /\ OneTransaction
  /\ RecordFirst
  /\ IF MayBeSigned(m) THEN Put(m) ELSE UNCHANGED <<recorded, watermark>>
  /\ place' = [place EXCEPT ![w] = IF MayBeSigned(m) \/ ~Heeds THEN "allowed" ELSE "idle"]

(* With a fault: a look alone. *)
Check(w, m) ==
  /\ ~(OneTransaction /\ RecordFirst)
  /\ UNCHANGED <<recorded, watermark>>
  /\ place' = [place EXCEPT ![w] =
       IF ~MayBeSigned(m) THEN "idle" ELSE IF RecordFirst THEN "checked" ELSE "allowed"]

Ask(w, m) ==
  /\ place[w] = "idle"
  /\ wants' = [wants EXCEPT ![w] = m]
  /\ (CheckAndRecord(w, m) \/ Check(w, m))
  /\ UNCHANGED <<signed, crashes>>

Record(w) ==
  /\ place[w] \in {"checked", "late"}
  /\ Put(wants[w])
  /\ place' = [place EXCEPT ![w] = IF place[w] = "checked" THEN "allowed" ELSE "idle"]
  /\ UNCHANGED <<signed, wants, crashes>>

Sign(w) ==
  /\ place[w] = "allowed"
  /\ signed' = signed \cup {wants[w]}
  /\ place' = [place EXCEPT ![w] = IF RecordFirst THEN "idle" ELSE "late"]
  /\ UNCHANGED <<recorded, watermark, wants, crashes>>

Crash ==
  /\ crashes < MostCrashes
  /\ crashes' = crashes + 1
  /\ place' = [w \in Workers |-> "idle"]
  /\ UNCHANGED <<recorded, watermark, signed, wants>>

Work == \E w \in Workers : Record(w) \/ Sign(w)

Next ==
  \/ \E w \in Workers, m \in Messages : Ask(w, m)
  \/ Work
  \/ Crash

Spec == Init /\ [][Next]_vars

(* ------------------------------------------------------------- properties *)

NoTwoAreSlashable == \A m \in signed, n \in signed : ~Slashable(m, n)

(* What was signed is on record, or so old that nothing beside it is signed.   *)
SignedIsRecorded == \A m \in signed : m \in recorded \/ Slot(m) <= watermark

===============================================================================
