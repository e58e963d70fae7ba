---------------------------- MODULE EventNotifier ----------------------------
(* An event count between producers and consumers of one queue.               *)
(*                                                                            *)
(* A producer publishes an item, then notifies: it passes a fence and looks   *)
(* at the counts. If no consumer is registered to which no wake is on its     *)
(* way, it goes on. Otherwise it claims one, that is, counts one more wake;   *)
(* then it moves the epoch, and then wakes one sleeper. A consumer that finds *)
(* the queue empty reads the epoch, registers, passes a fence, looks at the   *)
(* queue a second time, and sleeps if the epoch is unchanged. When it leaves, *)
(* it takes one wake off the count, if there is any.                          *)
(*                                                                            *)
(* With Buffered, a publication or a registration stays in the writer's store *)
(* buffer until it drains, at any later moment; a fence waits for the drain.  *)
(* This is only the store-buffer part of weak memory: enough to need both     *)
(* fences. Each of the last eight constants removes one part of the protocol;   *)
(* the configurations that do so must fail.                                   *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Producers,      \* numbers of producers
  Consumers,      \* numbers of consumers, different from those of producers
  PerProducer,    \* items that each producer publishes
  Buffered,       \* whether there are store buffers
  SecondLook,     \* whether a consumer looks again after it has registered
  ProducerFence,  \* whether notify begins with a fence
  ConsumerFence,  \* whether prepare ends with a fence
  EpochFirst,     \* whether a consumer reads the epoch before it registers, not after
  TakesOff,       \* whether a consumer that leaves takes a wake off the count
  SleepEnds,      \* whether the end of a sleep ends the wait, whatever the epoch is
  Deregisters,    \* whether a consumer that leaves takes itself off the registrations
  KeepsItem       \* whether a consumer has what it took at its second look

VARIABLES
  queue,     \* published items, oldest first, as memory shows them
  waiters,   \* the count of registrations, as memory shows it
  wakes,     \* the count of wakes that are on their way
  epoch,     \* the word that sleepers compare
  pc,        \* where each process stands
  sent,      \* number of items that each producer has published
  key,       \* the epoch that each consumer has read
  unseen,    \* processes whose last store is still in their buffer
  consumed   \* items taken

vars == <<queue, waiters, wakes, epoch, pc, sent, key, unseen, consumed>>

Items == Producers \X (1..PerProducer)
Processes == Producers \cup Consumers

ProducerPlaces == {"publish", "fence", "look", "claim", "move", "wake", "done"}
ConsumerPlaces ==
  {"try", "register", "read", "fence", "recheck", "sleep", "asleep", "cancel"}

TypeOK ==
  /\ \A i \in 1..Len(queue) : queue[i] \in Items
  /\ waiters \in 0..Cardinality(Consumers)
  /\ wakes \in 0..Cardinality(Items)
  /\ epoch \in 0..Cardinality(Items)
  /\ \A p \in Producers : pc[p] \in ProducerPlaces
  /\ \A c \in Consumers : pc[c] \in ConsumerPlaces
  /\ \A p \in Producers : sent[p] \in 0..PerProducer
  /\ \A c \in Consumers : key[c] \in 0..epoch
  /\ unseen \subseteq Processes
  /\ consumed \subseteq Items

Init ==
  /\ queue = <<>>
  /\ waiters = 0
  /\ wakes = 0
  /\ epoch = 0
  /\ pc = [x \in Processes |-> IF x \in Producers THEN "publish" ELSE "try"]
  /\ sent = [p \in Producers |-> 0]
  /\ key = [c \in Consumers |-> 0]
  /\ unseen = {}
  /\ consumed = {}

Goto(x, place) == pc' = [pc EXCEPT ![x] = place]

(* ------------------------------------------------------------- producers *)

After(p) == IF sent[p] < PerProducer THEN "publish" ELSE "done"

Publish(p) ==
  /\ pc[p] = "publish"
  /\ p \notin unseen
  /\ sent[p] < PerProducer
  /\ sent' = [sent EXCEPT ![p] = @ + 1]
  /\ IF Buffered
     THEN /\ unseen' = unseen \cup {p}
          /\ queue' = queue
     ELSE /\ unseen' = unseen
          /\ queue' = Append(queue, <<p, sent[p] + 1>>)
  /\ Goto(p, "fence")
  /\ UNCHANGED <<waiters, wakes, epoch, key, consumed>>

FenceOfProducer(p) ==
  /\ pc[p] = "fence"
  /\ ProducerFence => p \notin unseen
  /\ Goto(p, "look")
  /\ UNCHANGED <<queue, waiters, wakes, epoch, sent, key, unseen, consumed>>

\* Whether a consumer is registered to which no wake is on its way.
Sleeper == waiters > wakes

Look(p) ==
  /\ pc[p] = "look"
  /\ Goto(p, IF Sleeper THEN "claim" ELSE After(p))
  /\ UNCHANGED <<queue, waiters, wakes, epoch, sent, key, unseen, consumed>>

Claim(p) ==
  /\ pc[p] = "claim"
  /\ IF Sleeper
     THEN /\ wakes' = wakes + 1
          /\ Goto(p, "move")
     ELSE /\ wakes' = wakes
          /\ Goto(p, After(p))
  /\ UNCHANGED <<queue, waiters, epoch, sent, key, unseen, consumed>>

Move(p) ==
  /\ pc[p] = "move"
  /\ epoch' = epoch + 1
  /\ Goto(p, "wake")
  /\ UNCHANGED <<queue, waiters, wakes, sent, key, unseen, consumed>>

\* Any sleeper may be woken, even one that has come after the move.
Wake(p) ==
  /\ pc[p] = "wake"
  /\ LET sleepers == {c \in Consumers : pc[c] = "asleep"}
         next(c) == IF SleepEnds \/ epoch # key[c] THEN "cancel" ELSE "sleep"
     IN  IF sleepers = {}
         THEN Goto(p, After(p))
         ELSE \E c \in sleepers :
                pc' = [pc EXCEPT ![p] = After(p), ![c] = next(c)]
  /\ UNCHANGED <<queue, waiters, wakes, epoch, sent, key, unseen, consumed>>

Producer(p) ==
  \/ Publish(p)
  \/ FenceOfProducer(p)
  \/ Look(p)
  \/ Claim(p)
  \/ Move(p)
  \/ Wake(p)

(* ------------------------------------------------------------- consumers *)

\* Takes the oldest item, if there is one; `taken` and `empty` say where to go next.
TakeOr(c, taken, empty, kept) ==
  IF Len(queue) > 0
  THEN /\ consumed' = IF kept THEN consumed \cup {Head(queue)} ELSE consumed
       /\ queue' = Tail(queue)
       /\ Goto(c, taken)
  ELSE /\ Goto(c, empty)
       /\ UNCHANGED <<consumed, queue>>

Begin == IF EpochFirst THEN "read" ELSE "register"

Try(c) ==
  /\ pc[c] = "try"
  /\ TakeOr(c, "try", Begin, TRUE)
  /\ UNCHANGED <<waiters, wakes, epoch, sent, key, unseen>>

Read(c) ==
  /\ pc[c] = "read"
  /\ key' = [key EXCEPT ![c] = epoch]
  /\ Goto(c, IF EpochFirst THEN "register" ELSE "fence")
  /\ UNCHANGED <<queue, waiters, wakes, epoch, sent, unseen, consumed>>

Register(c) ==
  /\ pc[c] = "register"
  /\ IF Buffered
     THEN /\ unseen' = unseen \cup {c}
          /\ waiters' = waiters
     ELSE /\ unseen' = unseen
          /\ waiters' = waiters + 1
  /\ Goto(c, IF EpochFirst THEN "fence" ELSE "read")
  /\ UNCHANGED <<queue, wakes, epoch, sent, key, consumed>>

FenceOfConsumer(c) ==
  /\ pc[c] = "fence"
  /\ ConsumerFence => c \notin unseen
  /\ Goto(c, IF SecondLook THEN "recheck" ELSE "sleep")
  /\ UNCHANGED <<queue, waiters, wakes, epoch, sent, key, unseen, consumed>>

Recheck(c) ==
  /\ pc[c] = "recheck"
  /\ TakeOr(c, "cancel", "sleep", KeepsItem)
  /\ UNCHANGED <<waiters, wakes, epoch, sent, key, unseen>>

\* Comparing the epoch and going to sleep are one step.
Sleep(c) ==
  /\ pc[c] = "sleep"
  /\ Goto(c, IF epoch = key[c] THEN "asleep" ELSE "cancel")
  /\ UNCHANGED <<queue, waiters, wakes, epoch, sent, key, unseen, consumed>>

Cancel(c) ==
  /\ pc[c] = "cancel"
  /\ c \notin unseen
  /\ waiters' = IF Deregisters THEN waiters - 1 ELSE waiters
  /\ wakes' = IF TakesOff /\ wakes > 0 THEN wakes - 1 ELSE wakes
  /\ Goto(c, "try")
  /\ UNCHANGED <<queue, epoch, sent, key, unseen, consumed>>

Consumer(c) ==
  \/ Try(c)
  \/ Read(c)
  \/ Register(c)
  \/ FenceOfConsumer(c)
  \/ Recheck(c)
  \/ Sleep(c)
  \/ Cancel(c)

(* ---------------------------------------------------------- store buffers *)

Drain(x) ==
  /\ x \in unseen
  /\ unseen' = unseen \ {x}
  /\ IF x \in Producers
     THEN /\ queue' = Append(queue, <<x, sent[x]>>)
          /\ waiters' = waiters
     ELSE /\ waiters' = waiters + 1
          /\ queue' = queue
  /\ UNCHANGED <<wakes, epoch, pc, sent, key, consumed>>

(* ------------------------------------------------------------------ whole *)

AtRest ==
  /\ \A p \in Producers : pc[p] = "done"
  /\ \A c \in Consumers : pc[c] = "asleep"
  /\ unseen = {}

\* All items are consumed and the consumers wait for more: only this state may stay as it is.
Finished ==
  /\ AtRest
  /\ consumed = Items
  /\ UNCHANGED vars

Next ==
  \/ \E p \in Producers : Producer(p)
  \/ \E c \in Consumers : Consumer(c)
  \/ \E x \in Processes : Drain(x)
  \/ Finished

Fairness ==
  /\ \A p \in Producers : WF_vars(Producer(p))
  /\ \A c \in Consumers : WF_vars(Consumer(c))
  /\ \A x \in Processes : WF_vars(Drain(x))

Spec == Init /\ [][Next]_vars /\ Fairness

\* The same, but every state at rest may stay as it is: a stranded item then breaks liveness instead
\* of being a deadlock.
PatientNext ==
  \/ Next
  \/ AtRest /\ UNCHANGED vars

PatientSpec == Init /\ [][PatientNext]_vars /\ Fairness

(* ------------------------------------------------------------- properties *)

\* Consumers between registration and cancel whose registration has reached memory.
Registered == {c \in Consumers :
  /\ \/ pc[c] \in {"fence", "recheck", "sleep", "asleep", "cancel"}
     \/ pc[c] = "read" /\ ~EpochFirst
  /\ c \notin unseen}

CountIsExact == waiters = Cardinality(Registered)

\* At least as many consumers as there are wakes on their way no longer sleep, or will be woken: a
\* claim that has not run to its end yet owes one wake.
NoWakeTooMany ==
  LET ended == {c \in Registered :
        \/ pc[c] = "cancel"
        \/ pc[c] \in {"fence", "recheck", "sleep"} /\ key[c] # epoch}
      owing == {p \in Producers : pc[p] \in {"move", "wake"}}
  IN  wakes <= Cardinality(ended) + Cardinality(owing)

\* Each item is in one place: in a buffer, in the queue, or taken.
NothingIsLost ==
  LET buffered == unseen \cap Producers
      published == {<<p, n>> \in Items : n <= sent[p]}
  IN  Cardinality(published) = Cardinality(buffered) + Len(queue) + Cardinality(consumed)

\* At rest no consumer sleeps while there is an item.
NobodyIsStranded == AtRest => queue = <<>>

EveryItemIsConsumed ==
  \A item \in Items : (item[2] <= sent[item[1]]) ~> (item \in consumed)

==============================================================================
