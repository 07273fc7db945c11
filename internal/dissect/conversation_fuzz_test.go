package dissect_test

import (
	"errors"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// FuzzConversation has both sides of one conversation say datagrams in turn: a
// byte of direction and length before each.
func FuzzConversation(f *testing.F) {
	all := []dissect.Dissector{
		dissect.COAP{},
		dissect.COAP{Over: dissect.OverTCP},
		dissect.COAP{Over: dissect.OverWebSocket},
		dissect.MQTTSN{},
		dissect.MQTTSN{Draft: true},
		dissect.EMQTCP{},
		dissect.IOTText{},
	}
	say := func(lines ...string) (b []byte) {
		for i, line := range lines {
			m := unhex(f, line)
			b = append(append(b, byte(i&1)<<7|byte(len(m))), m...)
		}
		return b
	}
	f.Add(uint8(0), say("4201100b0102605133 01300139", "6245100b010260622d16ffc10964", "60001234", "52458ba501026102622d16ffc10963"))
	f.Add(uint8(1), say("20e16120", "20e16120", "2d01010001020304050607080910111213b161"))
	f.Add(uint8(3), say("090a00000001612f62", "070b0005000100", "090c20000500106f6e", "070d0005001000", "04fe0001090a00000001612f62"))
	f.Add(uint8(4), say("0810000002612f62", "07110400020001", "08032000030001 6f", "04040003"))
	f.Add(uint8(5), say("1100073c000461626364", "200000", "40", "50"))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		d, st := all[int(which)%len(all)], &dissect.Stream{Whole: true}
		b = b[:min(len(b), 2<<10)]
		for number := 1; len(b) > 1; number++ {
			head := b[0]
			n := min(int(head&0x7f), len(b)-1)
			m := b[1 : 1+n]
			b = b[1+n:]
			st.Direction = dissect.Direction(1 + head>>7)
			st.Number, st.Time = number, time.Unix(int64(number), 0)
			for len(m) > 0 {
				p, n, err := dissecttest.Dissect(t, d, m, st)
				if p.Answers < 0 || p.Answers > number || p.After < 0 || p.After > 0 && p.Answers == 0 {
					t.Fatalf("packet %d answers %d after %v", number, p.Answers, p.After)
				}
				if err != nil && n == 0 || errors.Is(err, dissect.ErrShort) {
					break
				}
				m = m[n:]
			}
		}
		last := 0
		for _, o := range d.(dissect.Finisher).Finish(st) {
			if o.Number < last || o.Number <= 0 || o.Text == "" {
				t.Fatalf("%+v behind %d", o, last)
			}
			last = o.Number
		}
	})
}
