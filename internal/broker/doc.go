// Package broker is the core: it knows sessions, routes and messages, and no
// sockets and no packets. Gateways attach clients to it.
//
// To write a gateway, call Attach when a client has proved who it is, write
// the protocol's answer, and call Link.Start. Then, for every batch that a
// read brings: Link.Publish, Subscribe, Unsubscribe, Acked and Release as the
// packets say, then Link.Commit, and only after it has returned nil let the
// acknowledgements of the batch leave. End with Link.Detach. A Link belongs to
// the one goroutine that reads from its client; Writable may come from any.
//
// One goroutine may read from many clients (SessionOptions.Unpaced). It detaches a
// link that has been told ReasonTakenOver before it goes on with the one that has
// taken the session over, which may wait for what the other has not committed.
//
// A gateway whose clients do not notice that the broker has been away calls
// Restore for each of Interrupted before Run, instead of Attach, and leaves the
// links of such clients as they are when the broker ends. What else it has to know
// of a client it keeps with the session: Link.Keep, Resumed.Kept.
//
// # What is stored before what
//
// Sessions that outlive their connection ("durable": session expiry interval
// above zero) are written to the store. Commit applies, before it returns,
//
//   - the queue entries of durable sessions and the retained message of each
//     PUBLISH, and the identifier of a QoS 2 PUBLISH of a durable session;
//   - subscriptions of durable sessions;
//   - the removal of an identifier by PUBREL;
//   - what is kept, and the will that SetWill has brought, which is the old one
//     until then.
//
// After a take-over the new connection waits with inbound QoS 2 until that is so
// for the old one. What the old one keeps, and its will, are stored before Attach
// reads them, or never.
//
// A PUBREL for a durable session leaves after its release has been applied.
// Attach returns after the session and its will have been applied. Sessions
// that end with their connection never wait for the store.
//
// That a session has a connection is stored by Attach, and that it has none by
// Detach. Those that had one when the last broker ended are Interrupted until Run
// begins; the store hears of their ends only then, so nothing has to be stored for
// those that are restored, and a crash in between changes nothing.
//
// Of the queue of a durable session only the head is in memory; the rest is
// fetched by pages, see session/page.go. Whoever takes the last message of the
// head fetches the next page, in Commit. A store that is full (store.Bounded)
// makes the broker refuse what would have to be stored, before anybody has got
// it, while deliveries and acknowledgements go on. What nobody could be refused
// is not stored either:
//
//   - wills, $SYS and what an ended session leaves to others of a shared
//     subscription go to durable sessions at QoS 0, since at most once is more
//     than never, and are dropped for those that are not connected
//     (session.DropStoreFull); other sessions get them as ever;
//   - a retained will is retained in memory alone, so that a status topic tells
//     the truth until the broker ends;
//   - retained messages for a new subscription of a durable session wait until
//     there is room, which Run looks for.
//
// # Concurrency
//
// Everything of a PUBLISH happens on the publisher's goroutine: no channel, no
// hand-off. Locks, in the order in which they are taken:
//
//	Conn.using           of a gateway, around its calls of a Link; never by a Receiver
//	Session.life         attach, detach and end of one session, one at a time
//	Session.applying     what its own client has sent is being stored; after
//	                     life, which nobody takes who holds it
//	shard.mu             the registry, never held across a call
//	Session.mu           delivery state and subscriptions
//	Broker.shared        the shared subscriptions
//	group.mu             members of one of them
//	the receiver's own   taken inside Receiver.Deliver
//	hungry.mu            sessions that wait for room in the store
//	timers.mu, the router's locks: leaves
//
// No two Session.mu are ever held together.
package broker
