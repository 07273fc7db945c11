package capture

import "errors"

// Pasted is what a pasted text has in it.
type Pasted struct {
	Form    string // one of Forms
	Why     string // what it was recognised by: "read as xxd: ..."
	Packets [][]byte
	// Link is the link layer of Packets that hold frames or IP packets, as dumps of
	// tcpdump do: give them to Reader. 0 with Framed false: they are application data.
	Framed bool
	Link   uint32
}

// Paste finds out which form text has and returns the packets' bytes. form "" detects
// it, else it is one of Forms.
func Paste(text []byte, form string) (Pasted, error) { return Pasted{}, errors.New("soon") }

// Forms lists the names of forms.
func Forms() []string { return nil }

// Reader reads the packets of p from their link layer on.
func (p *Pasted) Reader(o Options) *Reader { return nil }
