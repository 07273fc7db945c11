// Package decode turns what was captured or pasted into packets: it recognises the
// protocol of each stream by its bytes, takes away what the protocol is wrapped in,
// and hands packet after packet to a [Sink], in order of time.
//
// # Promises
//
// Memory is bounded by the bytes that are there, and by [Options.Held] for what waits
// until it is known what it is. Nothing panics, whatever the bytes. A stream whose
// dissector has a quick way ([dissect.Liner]) is read without an allocation for each
// packet when [Options.Lines] is set.
//
// # Goroutines
//
// One, that of an [Ahead], until its Close. An [Engine] has none, and belongs to who
// calls it.
//
// # Left out
//
// Files, reassembly and pasted forms are of package capture, fields of package
// dissect, and how it all looks of package display.
package decode
