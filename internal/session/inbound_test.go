package session

import (
	"errors"
	"slices"
	"testing"
)

func TestInboundPassesEachMessageOnce(t *testing.T) {
	var in Inbound
	for i, want := range []bool{true, false, false} {
		if isNew, err := in.Publish(7, 2); isNew != want || err != nil {
			t.Errorf("attempt %d: %v, %v", i, isNew, err)
		}
	}
	if !in.Release(7) || in.Release(7) {
		t.Error("an identifier is known until it is released, and no longer")
	}
	if isNew, _ := in.Publish(7, 2); !isNew {
		t.Error("a released identifier names a new message")
	}
}

func TestInboundReceiveMaximum(t *testing.T) {
	var in Inbound
	for id := range uint16(3) {
		if _, err := in.Publish(id+1, 3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Publish(4, 3); !errors.Is(err, ErrReceiveMaximum) {
		t.Errorf("fourth of three: %v", err)
	}
	if isNew, err := in.Publish(2, 3); isNew || err != nil {
		t.Errorf("a repetition is none too many: %v, %v", isNew, err)
	}
	in.Release(2)
	if _, err := in.Publish(4, 3); err != nil {
		t.Error(err)
	}
	if got := in.IDs(); !slices.Equal(got, []uint16{1, 3, 4}) || in.Len() != 3 {
		t.Errorf("open: %v, %d", got, in.Len())
	}
}

func TestInboundReceiveMaximumBeginsAnewWithTheConnection(t *testing.T) {
	var in Inbound
	open := func(ids ...uint16) {
		t.Helper()
		for _, id := range ids {
			if isNew, err := in.Publish(id, 2); !isNew || err != nil {
				t.Fatalf("%d: %v, %v", id, isNew, err)
			}
		}
	}
	open(1, 2)
	in.Resume()
	open(3, 4) // the PUBRELs of 1 and 2 may follow
	in.Release(1)
	if _, err := in.Publish(5, 2); !errors.Is(err, ErrReceiveMaximum) {
		t.Errorf("third of two: %v", err)
	}
	in.Release(3)
	open(5)
}

func TestInboundHoldsNoMemoryWhenIdle(t *testing.T) {
	var in Inbound
	for id := range 65535 {
		_, _ = in.Publish(uint16(id+1), 0)
	}
	for id := range 65535 {
		in.Release(uint16(id + 1))
	}
	if in.ids != nil || in.Len() != 0 {
		t.Error("the map was not given back")
	}
}

// FuzzInbound lets a client send, repeat, lose and complete QoS 2 messages and
// checks that each is passed on exactly once.
func FuzzInbound(f *testing.F) {
	f.Add([]byte{0, 0, 1, 3, 0, 2, 1, 2, 3})
	f.Add([]byte{0, 4, 8, 3, 1, 5, 9, 2, 6})
	f.Fuzz(func(t *testing.T, script []byte) {
		const ids, most = 8, 4
		var in Inbound
		number := 0
		open := map[uint16]int{}  // message under an identifier, until PUBREL is answered
		sent := map[uint16]bool{} // the PUBREL of it has been sent
		passed := map[int]int{}   // how often a message was passed on
		publish := func(id uint16) {
			isNew, err := in.Publish(id, most)
			switch {
			case errors.Is(err, ErrReceiveMaximum):
				if len(open) <= most {
					t.Fatalf("refused with %d open", len(open))
				}
				delete(open, id)
			case err != nil:
				t.Fatal(err)
			case isNew:
				passed[open[id]]++
			}
		}
		for _, b := range script {
			id := uint16(b>>2)%ids + 1
			n, isOpen := open[id]
			switch b & 3 {
			case 0, 1: // a new message, or the repetition of one
				if sent[id] {
					continue
				}
				if !isOpen {
					number++
					open[id] = number
				}
				publish(id)
			case 2: // PUBREL, its answer lost
				if isOpen && passed[n] > 0 {
					in.Release(id)
					sent[id] = true
				}
			case 3: // PUBREL and PUBCOMP
				if isOpen && passed[n] > 0 {
					if known := in.Release(id); known == sent[id] {
						t.Fatalf("identifier %d known: %v, released before: %v", id, known, sent[id])
					}
					delete(open, id)
					delete(sent, id)
				}
			}
			if in.Len() > most {
				t.Fatalf("%d open, %d allowed", in.Len(), most)
			}
		}
		for n, times := range passed {
			if times != 1 {
				t.Errorf("message %d was passed on %d times", n, times)
			}
		}
	})
}
