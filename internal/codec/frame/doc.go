// Package frame speaks private protocols that a YAML file describes: how a
// stream of bytes falls into frames, which checksums protect them, what the
// fields mean, which device sent them, what is answered, and how a command
// becomes a frame. README.md in this directory is the reference of the file.
//
// # The way of a frame
//
//	bytes → Splitter.Next → Codec.Decode → Record → Codec.Reply
//	                                              → Codec.AppendTopic, Codec.AppendPayload
//	JSON  → Codec.Encode  → bytes
//
// [Parse] compiles a file into a plan and refuses everything that it can find
// wrong in it, with the line. A [Codec] never changes afterwards and may be
// used by any number of goroutines. A [Splitter] belongs to one direction of
// one connection, a [Record] to one goroutine.
//
// # Promises
//
// Splitting and decoding into a [Record] that has been used before allocates
// nothing for binary fields. Everything that is bounded stays so with hostile
// input: no memory is reserved for a length before its bytes are there, frames
// end at max_frame, the bytes skipped between two frames at max_skipped, arrays
// at their max_items, and a record at 65,536 values. Where resynchronisation
// tries each byte again, the bytes summed up in vain are bounded as well; all
// other work is linear in the bytes.
//
// What [Splitter.Next] returns depends on the bytes alone, not on how they
// were cut into reads.
//
// # Left out
//
// Sockets, time-outs and topics' access rights belong to the gateway. There is
// no expression language and no user code: a protocol that needs one is a case
// for a program behind the ExProto gateway.
package frame
