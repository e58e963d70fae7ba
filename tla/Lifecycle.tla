------------------------------- MODULE Lifecycle -------------------------------
(* Three services in a row: the upper one takes requests and hands them to the *)
(* worker, which hands them to the lower one. Each has a mailbox. A service    *)
(* may panic over a message.                                                   *)
(*                                                                             *)
(* The message is lost, its requester is answered, and nobody handles it       *)
(* again. A successor goes on with the same mailbox. At most MostRestarts      *)
(* panics are borne within Window; one more stops all services. Panics of the  *)
(* worker are not counted. If the lower service is torn, it has no successor:  *)
(* it ends, what it has queued is answered, and all services stop. The stop is *)
(* told once, to the upper service, which ends and answers what it has queued. *)
(* A service that ends closes the mailbox below: that service handles what is  *)
(* queued, and ends. While the services stop, panics are borne without count.  *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   Counts     more panics than are borne stop the services                   *)
(*   FromAbove  the upper service is stopped first                             *)
(*   Answers    the requester of a lost message is answered                    *)
(*   Succeeds   a service that panicked has a successor                        *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  MostRequests, Capacity, MostRestarts, Window, Last,
  Counts, FromAbove, Answers, Succeeds

Services == {"upper", "worker", "lower"}

Below(s) == IF s = "upper" THEN "worker" ELSE "lower"
Above(s) == IF s = "lower" THEN "worker" ELSE "upper"

VARIABLES
  phase,     \* of each service: "serving", "crashed", or "ended"
  queue,     \* how many messages each mailbox holds
  restarts,  \* when the panics that were borne and counted have happened
  recent,    \* the last of them, without those that were too old when another one happened
  stops,     \* how often the stop was told
  made,      \* requests that were made
  answered,  \* answers that were given
  time

vars == <<phase, queue, restarts, recent, stops, made, answered, time>>

TypeOK ==
  /\ \A s \in Services : phase[s] \in {"serving", "crashed", "ended"}
  /\ \A s \in Services : queue[s] \in 0..Capacity
  /\ Len(restarts) <= MostRequests
  /\ \A n \in 1..Len(restarts) : restarts[n] \in 0..Last
  /\ Len(recent) <= MostRequests
  /\ \A n \in 1..Len(recent) : recent[n] \in 0..Last
  /\ stops \in 0..1
  /\ made \in 0..MostRequests
  /\ answered \in 0..MostRequests
  /\ time \in 0..Last

Init ==
  /\ phase = [s \in Services |-> "serving"]
  /\ queue = [s \in Services |-> 0]
  /\ restarts = <<>>
  /\ recent = <<>>
  /\ stops = 0
  /\ made = 0
  /\ answered = 0
  /\ time = 0

(* --------------------------------------------------------------- requests *)

Request ==
  /\ made < MostRequests
  /\ phase["upper"] # "ended"
  /\ queue["upper"] < Capacity
  /\ made' = made + 1
  /\ queue' = [queue EXCEPT !["upper"] = @ + 1]
  /\ UNCHANGED <<phase, restarts, recent, stops, answered, time>>

\* The message goes on, if there is a service below that takes it, and is answered otherwise.
Handle(s) ==
  /\ phase[s] = "serving"
  /\ queue[s] > 0
  /\ IF s = "lower" \/ phase[Below(s)] = "ended"
     THEN /\ queue' = [queue EXCEPT ![s] = @ - 1]
          /\ answered' = answered + 1
     ELSE /\ queue[Below(s)] < Capacity
          /\ queue' = [queue EXCEPT ![s] = @ - 1, ![Below(s)] = @ + 1]
          /\ UNCHANGED answered
  /\ UNCHANGED <<phase, restarts, recent, stops, made, time>>

(* ----------------------------------------------------------------- panics *)

StopTold == IF stops > 0 THEN stops ELSE stops + 1

\* Panics that still count when another one happens now.
Counted == {n \in 1..Len(restarts) : time - restarts[n] < Window}

IsBorne(s) ==
  \/ stops > 0
  \/ s = "worker"
  \/ ~Counts
  \/ Cardinality(Counted) < MostRestarts

\* What is remembered of the panics when another one happens now.
RECURSIVE Fresh(_)
Fresh(times) ==
  IF times # <<>> /\ time - Head(times) >= Window THEN Fresh(Tail(times)) ELSE times

Panic(s) ==
  /\ phase[s] = "serving"
  /\ queue[s] > 0
  /\ phase' = [phase EXCEPT ![s] = "crashed"]
  /\ queue' = [queue EXCEPT ![s] = @ - 1]
  /\ answered' = IF Answers THEN answered + 1 ELSE answered
  /\ stops' = IF IsBorne(s) THEN stops ELSE StopTold
  /\ restarts' =
       IF stops = 0 /\ s # "worker" /\ IsBorne(s) THEN Append(restarts, time) ELSE restarts
  /\ recent' =
       IF stops > 0 \/ s = "worker" THEN recent
       ELSE IF IsBorne(s) THEN Append(Fresh(recent), time)
       ELSE Fresh(recent)
  /\ UNCHANGED <<made, time>>

\* Its machine was cut short, and no other can be built.
Tear ==
  /\ phase["lower"] = "serving"
  /\ queue["lower"] > 0
  /\ phase' = [phase EXCEPT !["lower"] = "ended"]
  /\ answered' = answered + queue["lower"]
  /\ queue' = [queue EXCEPT !["lower"] = 0]
  /\ stops' = StopTold
  /\ UNCHANGED <<restarts, recent, made, time>>

Succeed(s) ==
  /\ Succeeds
  /\ phase[s] = "crashed"
  /\ phase' = [phase EXCEPT ![s] = "serving"]
  /\ UNCHANGED <<queue, restarts, recent, stops, made, answered, time>>

(* --------------------------------------------------------------- the stop *)

Stop ==
  /\ stops = 0
  /\ stops' = 1
  /\ UNCHANGED <<phase, queue, restarts, recent, made, answered, time>>

IsTold(s) ==
  IF FromAbove
  THEN IF s = "upper" THEN stops > 0 ELSE phase[Above(s)] = "ended" /\ queue[s] = 0
  ELSE IF s = "lower" THEN stops > 0 ELSE phase[Below(s)] = "ended" /\ queue[s] = 0

End(s) ==
  /\ phase[s] = "serving"
  /\ IsTold(s)
  /\ phase' = [phase EXCEPT ![s] = "ended"]
  /\ answered' = answered + queue[s]
  /\ queue' = [queue EXCEPT ![s] = 0]
  /\ UNCHANGED <<restarts, recent, stops, made, time>>

Tick ==
  /\ time < Last
  /\ time' = time + 1
  /\ UNCHANGED <<phase, queue, restarts, recent, stops, made, answered>>

HasEnded == \A s \in Services : phase[s] = "ended"

\* Services that serve may have nothing to do. One that crashed must not stay as it is, but if it has
\* no successor, that is for liveness to see.
Rests ==
  /\ HasEnded \/ stops = 0 \/ ~Succeeds
  /\ UNCHANGED vars

Serve == \E s \in Services : Handle(s) \/ Succeed(s) \/ End(s)

Next ==
  \/ Request
  \/ Serve
  \/ \E s \in Services : Panic(s)
  \/ Tear
  \/ Stop
  \/ Tick
  \/ Rests

Spec == Init /\ [][Next]_vars /\ WF_vars(Serve)

(* ------------------------------------------------------------- properties *)

\* At no moment have more panics been borne within the window that ends there.
Intensity ==
  \A n \in 1..Len(restarts) :
    Cardinality({m \in 1..n : restarts[n] - restarts[m] < Window}) <= MostRestarts

\* A service below ends after those above it, unless it was torn, and then all stop.
EndsInOrder ==
  /\ phase["worker"] = "ended" => phase["upper"] = "ended"
  /\ phase["lower"] = "ended" => stops > 0

\* Every request has one answer, or is queued.
OneAnswer == made = answered + queue["upper"] + queue["worker"] + queue["lower"]

StopEnds == (stops > 0) ~> HasEnded

EveryCrashIsFollowed == \A s \in Services : (phase[s] = "crashed") ~> (phase[s] # "crashed")

===============================================================================
