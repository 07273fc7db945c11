// Package recording writes down the messages that a subscriber gets, and reads them
// back from there and from captures of others, in the order and with the times in
// which they came.
//
// A recording is one of two things. Lines are records of package format, one to a
// line, and between them lines that tell of a [Gap]. A capture is a pcapng with the
// packets of the subscriber's connections, made up as TCP, that packet analysers
// open; a gap is the end of one connection and the beginning of the next.
//
// # Promises
//
// What a [Writer] has flushed survives the end of the process; a reader takes what
// is there and says where it is cut. Nothing here holds more of a recording in
// memory than a message, and what a capture has of streams that are not complete.
// Nothing starts a goroutine. A value of any type here belongs to one goroutine at
// a time.
//
// # Left out
//
// Who publishes what is read, and the connection: that is for cmd/iotctl.
package recording
