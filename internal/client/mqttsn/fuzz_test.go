package mqttsn

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

func FuzzHandle(f *testing.F) {
	for _, words := range []string{
		"030500 090c20000500106f6e 120a1234010273656e736f72732f74656d70 040f0001 0813200002000100 0218",
		"0206 0208 030500 070b0005000100 070d0005000202 0217 031b00",
		"05fe00aabb030500 03fe00030500",
	} {
		var script []byte
		for w := range strings.FieldsSeq(words) {
			b, err := hex.DecodeString(w)
			if err != nil {
				f.Fatal(err)
			}
			script = append(append(script, byte(len(b))), b...)
		}
		f.Add(script, uint8(len(script)))
	}
	f.Fuzz(func(t *testing.T, script []byte, choice uint8) {
		cfg := Config{ClientID: "d", KeepAlive: 60, Will: &Will{Topic: "w"}, Congestion: time.Minute, Nameless: choice&1 == 0}
		if choice&2 != 0 {
			cfg.Forwarded = true
		}
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(0, 0)
		var fx Effects
		tokens, settled := 0, map[uint64]bool{}
		look := func() {
			for _, e := range fx.Events {
				if e.Kind == Published {
					if settled[e.Token] {
						t.Fatalf("a second outcome of %d", e.Token)
					}
					settled[e.Token] = true
				}
			}
			for b := range fx.Datagrams() {
				if _, _, err := wire.Parse(b, wire.Options{}); err != nil {
					t.Fatalf("%x: %v", b, err)
				}
			}
			fx.Reset()
		}
		c.Connect(now, true, &fx)
		// Each datagram is preceded by a byte that says how long it is, and what is
		// done before it.
		for len(script) > 0 {
			n := min(int(script[0]), len(script)-1)
			switch op := script[0] % 16; op {
			case 0:
				c.Connect(now, op&4 == 0, &fx)
			case 1:
				_ = c.Sleep(now, time.Minute, &fx)
			case 2:
				_ = c.Wake(now, &fx)
			case 3, 4, 5:
				tokens++
				if err := c.Publish(now, Publication{Token: uint64(tokens), Topic: Named("a/b"), QoS: int8(op) - 3}, &fx); err != nil {
					settled[uint64(tokens)] = true
				}
			case 6:
				_ = c.Subscribe(now, Named("a/#"), 2, 0, &fx)
			case 7:
				c.Disconnect(now, &fx)
			case 8, 9:
				if at := c.Deadline(); at.After(now) {
					now = at
				}
				c.Tick(now, &fx)
			}
			_ = c.Handle(now, script[1:1+n], &fx)
			look()
			script = script[1+n:]
		}
		c.Abandon(&fx)
		look()
		if len(settled) != tokens || !c.Idle() {
			t.Fatalf("%d of %d publications have an outcome", len(settled), tokens)
		}
		if len(c.receipts) > maxReceipts || len(c.topics.names) > maxTopics {
			t.Fatal("unbounded")
		}
	})
}
