// Package diagnostic is the diagnostic notation of RFC 8949 §8 and RFC 8610
// appendix G as a tree of items, read and written: what is written and read again
// is the same tree. It is the notation of MessagePack, too, with ext(type, bytes).
//
// Both ways are bounded by MaxDepth and MaxItems.
package diagnostic

import (
	"fmt"
	"math/big"
)

// Limits of a tree.
const (
	MaxDepth = 128
	MaxItems = 1 << 20
)

// Kind of an item.
type Kind uint8

// Kinds. What they use of Item stands behind them.
const (
	Int    Kind = iota // Negative, Arg: Arg, or -1-Arg
	Big                // Big
	Float              // Float, Width
	NaN                // Arg: the bits, Width: of so many bytes; other NaNs than the usual one
	Bytes              // Data; Indefinite: Kids are its parts
	Text               // Data; Indefinite: Kids are its parts
	Embed              // <<…>>: Kids are encoded, and the bytes are a string
	Array              // Kids
	Map                // Kids: key, value, key, value …
	Tag                // Arg, and one of Kids
	Simple             // Arg
	Ext                // Arg: the type as an int8, Data
	App                // Name'Data', a literal such as dt'2026-11-22T02:50:00Z'
)

// Simple values. RFC 8949 §3.3
const (
	False     = 20
	True      = 21
	Null      = 22
	Undefined = 23
)

// Width is how an item is encoded, where it is not as short as it can be.
type Width uint8

// Widths. RFC 8949 §8.1
const (
	Shortest   Width = iota
	Immediate        // _i: within the first byte
	OneByte          // _0
	TwoBytes         // _1
	FourBytes        // _2
	EightBytes       // _3
	Indefinite       // _
)

// Item is one of a tree.
type Item struct {
	Kind     Kind
	Width    Width // of the number, length or count
	Negative bool
	Arg      uint64
	Float    float64
	Big      *big.Int
	Name     string
	Data     []byte
	Kids     []Item
}

// Room is what the lists of one payload have been made for. In a payload that is
// whole all lists together have MaxItems at most, so that what claims more, list
// within list, has to show it.
type Room int

// Kids is an empty list with room for n items, if there may be as many.
func (r *Room) Kids(n uint64) []Item {
	if n > uint64(MaxItems-*r) {
		return []Item{}
	}
	*r += Room(n)
	return make([]Item, 0, n)
}

// SyntaxError says where text is not diagnostic notation.
type SyntaxError struct {
	Offset int
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// IntItem is n.
func IntItem(n int64) Item {
	if n < 0 {
		return Item{Kind: Int, Negative: true, Arg: uint64(-(n + 1))}
	}
	return Item{Kind: Int, Arg: uint64(n)}
}
