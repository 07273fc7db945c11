package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorded runs f through a proxy in front of a broker, and returns what was recorded.
func recorded(t *testing.T, secrets bool, f func(t *testing.T, url string)) *Recording {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, "test", time.Now(), secrets)
	if err != nil {
		t.Fatal(err)
	}
	tap := proxy.NewTap(proxy.TapConfig{Sink: w, Wait: true})
	t.Run("recording", func(t *testing.T) {
		e := proxytest.Start(t, proxytest.Broker(t), func(c *proxy.Config) { c.Stages = []proxy.Factory{tap} })
		f(t, proxytest.URL(e))
	})
	if err := tap.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := Read(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, file.String())
	}
	return rec
}

// talk is a subscriber and a publisher with messages of each QoS.
func talk(t *testing.T, url string, v mqtt.Version) {
	t.Helper()
	sub := proxytest.Connect(t, url, v, "subscriber")
	sub.Send(mqtt.Subscribe{PacketID: 7, Filters: []mqtt.Subscription{{Filter: "a/#", QoS: 2}, {Filter: "b", QoS: 1}}})
	sub.Next()
	pub := proxytest.Connect(t, url, v, "publisher")
	for qos := range uint8(3) {
		pub.Send(mqtt.Publish{Topic: []byte("a/b"), QoS: qos, PacketID: uint16(qos) * 10, Payload: fmt.Appendf(nil, "message %d", qos)})
		if qos > 0 {
			pub.Next()
		}
		if qos == 2 {
			pub.Send(mqtt.Pubrel{PacketID: 20})
			pub.Next()
		}
		for answered := false; !answered; {
			switch p := sub.Next().(type) {
			case mqtt.Publish:
				if p.QoS == 0 {
					answered = true
					continue
				}
				sub.Send(proxy.Success(p))
				answered = p.QoS == 1
			case mqtt.Pubrel:
				sub.Send(mqtt.Pubcomp{PacketID: p.PacketID})
				answered = true
			}
		}
	}
	sub.Send(mqtt.Pingreq{})
	sub.Next()
	for _, p := range []*proxytest.Peer{pub, sub} {
		p.Send(mqtt.Disconnect{})
		p.Closed()
	}
}

func dialer(url string) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return transport.Dial(ctx, url, transport.DialConfig{Timeout: proxytest.Limit})
	}
}

func fast(url string) Options {
	return Options{Speed: math.Inf(1), Dial: dialer(url), Patience: time.Minute}
}

func TestReplayAgainstAnotherBrokerIsTheSame(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			rec := recorded(t, false, func(t *testing.T, url string) { talk(t, url, v) })
			if len(rec.Sessions) != 2 || len(rec.Sessions[0].Packets) < 10 || rec.Sessions[0].ClientID != "subscriber" || rec.Sessions[0].End == "" {
				t.Fatalf("%+v", rec)
			}
			res, err := Play(t.Context(), rec, fast(proxytest.Broker(t)))
			if err != nil || len(res.Failed) > 0 || res.Sessions != 2 {
				t.Fatal(res, err)
			}
			if c := Compare(rec, res.Now, DiffOptions{By: proxy.ToClient}); len(c.Differences) > 0 || len(c.Latencies) < 6 {
				t.Error(c)
			}
			// What has been written and read again is the same, too.
			var b bytes.Buffer
			if err := res.Now.Write(&b); err != nil {
				t.Fatal(err)
			}
			now, err := Read(&b)
			if err != nil {
				t.Fatal(err)
			}
			if c := Compare(rec, now, DiffOptions{By: proxy.ToClient}); len(c.Differences) > 0 {
				t.Error(c.Differences)
			}
		})
	}
}

func TestReplayWithCopiesAndLoops(t *testing.T) {
	rec := recorded(t, false, func(t *testing.T, url string) { talk(t, url, mqtt.V5) })
	o := fast(proxytest.Broker(t))
	o.Copies, o.Loops, o.ClientID = 3, 2, "load-{n}-{client}-{loop}"
	res, err := Play(t.Context(), rec, o)
	if err != nil || len(res.Failed) > 0 || res.Sessions != 12 {
		t.Fatal(res, err)
	}
	var clients []string
	for _, s := range res.Now.Sessions {
		clients = append(clients, s.ClientID)
	}
	for _, want := range []string{"load-1-publisher-1", "load-3-subscriber-2"} {
		if !slices.Contains(clients, want) {
			t.Error(clients)
		}
	}
	if c := Compare(rec, res.Now, DiffOptions{By: proxy.ToClient}); len(c.Differences) > 0 {
		t.Error(c.Differences)
	}
	o.Forget = true
	if res, err = Play(t.Context(), rec, o); err != nil || res.Sessions != 12 || len(res.Now.Sessions) != 0 {
		t.Errorf("%d of %d sessions are kept that nobody wants: %v", len(res.Now.Sessions), res.Sessions, err)
	}
}

func TestReplayAtRecordedSpeedTakesItsTime(t *testing.T) {
	rec := recorded(t, false, func(t *testing.T, url string) { talk(t, url, mqtt.V5) })
	for _, s := range rec.Sessions { // as if it had taken a second
		s.Began *= 0
		for i := range s.Packets {
			s.Packets[i].At = time.Duration(s.Packets[i].Order) * 25 * time.Millisecond
		}
	}
	o := fast(proxytest.Broker(t))
	o.Speed = 10
	res, err := Play(t.Context(), rec, o)
	last := rec.Sessions[0].Packets[len(rec.Sessions[0].Packets)-1].At
	if err != nil || res.Took < last/10 {
		t.Errorf("%v for %v, %v", res.Took, last, err)
	}
}

// answering is a broker that a test writes: reply gets each packet of a client.
func answering(t *testing.T, v mqtt.Version, reply func(p mqtt.Packet) []mqtt.Packet) string {
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			func() {
				defer nc.Close()
				var buf []byte
				room := make([]byte, 4096)
				for {
					n, err := nc.Read(room)
					if err != nil {
						return
					}
					buf = append(buf, room[:n]...)
					for {
						p, n, err := mqtt.Parse(buf, mqtt.Options{Version: v})
						if err != nil {
							break
						}
						if _, ok := p.(mqtt.Disconnect); ok {
							return
						}
						for _, r := range reply(p) {
							if r == nil {
								return // it closes
							}
							b, _ := r.Append(nil, v)
							_, _ = nc.Write(b)
						}
						buf = slices.Clone(buf[n:])
					}
				}
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.URL()
}

func TestDiffNamesWhatDiffers(t *testing.T) {
	rec := recorded(t, false, func(t *testing.T, url string) {
		c := proxytest.Connect(t, url, mqtt.V5, "c")
		for id := range uint16(3) {
			c.Send(mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: id + 1, Payload: []byte{byte('a' + id)}})
			c.Next()
		}
		c.Send(mqtt.Subscribe{PacketID: 9, Filters: []mqtt.Subscription{{Filter: "t", QoS: 1}}})
		c.Next()
		c.Send(mqtt.Disconnect{})
		c.Closed()
	})
	url := answering(t, mqtt.V5, func(p mqtt.Packet) []mqtt.Packet {
		switch p := p.(type) {
		case mqtt.Connect:
			return []mqtt.Packet{mqtt.Connack{SessionPresent: true}, mqtt.Publish{Topic: []byte("surprise"), Payload: []byte("!")}}
		case mqtt.Publish:
			if p.PacketID == 1 {
				return []mqtt.Packet{mqtt.Puback{PacketID: 1, Code: mqtt.QuotaExceeded}}
			}
			if p.PacketID == 2 {
				return []mqtt.Packet{mqtt.Puback{PacketID: 2, Code: mqtt.NoMatchingSubscribers}, mqtt.Puback{PacketID: 2}}
			}
			return []mqtt.Packet{mqtt.Puback{PacketID: 3}}
		case mqtt.Subscribe:
			return []mqtt.Packet{nil}
		}
		return nil
	})
	res, err := Play(t.Context(), rec, fast(url))
	if err != nil || len(res.Failed) != 1 {
		t.Fatal(res, err)
	}
	c := Compare(rec, res.Now, DiffOptions{By: proxy.ToClient})
	var got []string
	for _, d := range c.Differences {
		got = append(got, fmt.Sprintf("%s %s: %s -> %s", d.Kind, d.Packet, d.Recorded, d.Live))
	}
	want := []string{
		"code CONNACK to CONNECT: Success -> Success, session present",
		`code PUBACK to PUBLISH "t", QoS 1: No matching subscribers -> Quota exceeded`,
		`code PUBACK to PUBLISH "t", QoS 1: No matching subscribers -> Success`,
		`missing SUBACK to SUBSCRIBE ["t"]:  -> `,
		`unsent DISCONNECT:  -> `,
		`extra PUBLISH "surprise", QoS 0:  -> `,
		`extra PUBACK:  -> Success`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnswersThatWereLostThenAreExtraNow(t *testing.T) {
	// The recording was made while a fault had taken the PUBACK.
	rec := recorded(t, false, func(t *testing.T, url string) {
		c := proxytest.Connect(t, url, mqtt.V311, "c")
		c.Send(mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1, Payload: []byte("x")})
		c.Next()
		c.Send(mqtt.Disconnect{})
		c.Closed()
	})
	s := rec.Sessions[0]
	s.Packets = slices.DeleteFunc(s.Packets, func(p Packet) bool { return p.Bytes[0]>>4 == byte(mqtt.TypePuback) })
	res, err := Play(t.Context(), rec, fast(proxytest.Broker(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := Compare(rec, res.Now, DiffOptions{By: proxy.ToClient})
	if len(c.Differences) != 1 || c.Differences[0].Kind != KindExtra || c.Differences[0].Packet != `PUBACK to PUBLISH "t", QoS 1` {
		t.Error(c.Differences)
	}
}

func TestPacketIdentifiersAreMapped(t *testing.T) {
	// The broker of now gives other identifiers than the recorded one, and delivers in
	// another order: acknowledgements go by what the messages say.
	rec := recorded(t, false, func(t *testing.T, url string) {
		c := proxytest.Connect(t, url, mqtt.V311, "c")
		c.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "t/#", QoS: 1}}})
		c.Next()
		for id := range uint16(2) {
			c.Send(mqtt.Publish{Topic: fmt.Appendf(nil, "t/%d", id), QoS: 1, PacketID: id + 2, Payload: []byte("x")})
		}
		for range 4 {
			if p, ok := c.Next().(mqtt.Publish); ok {
				c.Send(mqtt.Puback{PacketID: p.PacketID})
			}
		}
		c.Send(mqtt.Pingreq{})
		c.Next()
	})
	acked := make(chan uint16, 10)
	url := answering(t, mqtt.V311, func(p mqtt.Packet) []mqtt.Packet {
		switch p := p.(type) {
		case mqtt.Publish:
			out := []mqtt.Packet{proxy.Success(p)}
			if string(p.Topic) == "t/1" {
				out = append(out, mqtt.Publish{Topic: []byte("t/1"), QoS: 1, PacketID: 501, Payload: []byte("x")},
					mqtt.Publish{Topic: []byte("t/0"), QoS: 1, PacketID: 502, Payload: []byte("x")})
			}
			return out
		case mqtt.Puback:
			acked <- p.PacketID
			return nil
		case mqtt.Connect:
			return []mqtt.Packet{mqtt.Connack{}}
		}
		return []mqtt.Packet{proxy.Success(p)}
	})
	res, err := Play(t.Context(), rec, fast(url))
	if err != nil || len(res.Failed) > 0 {
		t.Fatal(res, err)
	}
	a, b := <-acked, <-acked
	if min(a, b) != 501 || max(a, b) != 502 {
		t.Error(a, b)
	}
	if c := Compare(rec, res.Now, DiffOptions{By: proxy.ToClient}); len(c.Differences) > 0 {
		t.Error(c.Differences)
	}
}

func TestReplayAsTheBroker(t *testing.T) {
	rec := recorded(t, false, func(t *testing.T, url string) { talk(t, url, mqtt.V5) })
	b, err := NewBroker(rec, Options{Speed: math.Inf(1), Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	done := make(chan error, 3)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() { done <- b.Serve(context.Background(), nc) }()
		}
	}()
	talk(t, l.URL(), mqtt.V5)
	stranger := proxytest.Dial(t, l.URL(), mqtt.V5)
	stranger.Send(mqtt.Connect{ClientID: "stranger"})
	if ack := stranger.Next().(mqtt.Connack); ack.Code != mqtt.ClientIdentifierNotValid {
		t.Error(ack)
	}
	var errs []error
	for range 3 {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); !errors.Is(err, ErrNoSession) {
		t.Error(err)
	}
	_ = l.Close()
	<-accepted
	if b.Left() != 0 {
		t.Error(b.Left())
	}
	if c := Compare(rec, b.Result().Now, DiffOptions{By: proxy.ToServer}); len(c.Differences) > 0 {
		t.Error(c.Differences)
	}
}

func TestSecretsAreLeftOutUnlessAskedFor(t *testing.T) {
	for _, secrets := range []bool{false, true} {
		rec := recorded(t, secrets, func(t *testing.T, url string) {
			c := proxytest.Dial(t, url, mqtt.V5)
			c.Send(mqtt.Connect{ClientID: "c", HasUsername: true, Username: "u", HasPassword: true, Password: []byte("hunter2")})
			c.Next()
		})
		first := rec.Sessions[0].Packets[0]
		if has := bytes.Contains(first.Bytes, []byte("hunter2")); has != secrets || first.Hidden == secrets || rec.Secrets != secrets {
			t.Errorf("secrets %v: %q", secrets, first.Bytes)
		}
	}
	// The replay puts one in.
	rec := recorded(t, false, func(t *testing.T, url string) {
		c := proxytest.Dial(t, url, mqtt.V311)
		c.Send(mqtt.Connect{ClientID: "c", CleanStart: true, HasUsername: true, Username: "u", HasPassword: true, Password: []byte("hunter2")})
		c.Next()
	})
	got := make(chan mqtt.Connect, 1)
	o := fast(answering(t, mqtt.V311, func(p mqtt.Packet) []mqtt.Packet {
		if c, ok := p.(mqtt.Connect); ok {
			c.Password = bytes.Clone(c.Password)
			got <- c
			return []mqtt.Packet{mqtt.Connack{}}
		}
		return nil
	}))
	o.Password = []byte("other")
	if _, err := Play(t.Context(), rec, o); err != nil {
		t.Fatal(err)
	}
	if c := <-got; string(c.Password) != "other" || c.Username != "u" {
		t.Errorf("%+v", c)
	}
}
