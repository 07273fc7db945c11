package recording

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/dissect"
)

var began = time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC)

func at(d time.Duration) time.Time { return began.Add(d) }

// sample is a recording of all there can be in one.
func sample() []Item {
	props := mqtt.Properties(nil).
		AppendByte(mqtt.PropPayloadFormat, 1).
		AppendUint32(mqtt.PropMessageExpiryInterval, 60).
		AppendString(mqtt.PropContentType, "application/json").
		AppendString(mqtt.PropResponseTopic, "a/reply").
		AppendBytes(mqtt.PropCorrelationData, []byte{0, 0xff, 10}).
		AppendVarint(mqtt.PropSubscriptionIdentifier, 268435455).
		AppendUserProperty("k", "1").AppendUserProperty("", "").AppendUserProperty("k", "2")
	return []Item{
		{Message: Message{Time: at(0), Topic: "a/0", Payload: []byte("zero")}},
		{Message: Message{Time: at(1), Topic: "a/1", Payload: []byte("{\"n\": 1.0,\n \"n\":12345678901234567890}"), QoS: 1, PacketID: 7, Retain: true, Properties: props}},
		{Message: Message{Time: at(time.Second), Topic: "a/ü \u2028", Payload: []byte{0, 0xff, '\n'}, QoS: 2, PacketID: 65535}},
		{Gap: &Gap{From: at(2 * time.Second), To: at(5 * time.Second)}},
		{Message: Message{Time: at(5 * time.Second), Topic: "$SYS/x", Payload: []byte{}, QoS: 1, PacketID: 1}},
		{Gap: &Gap{From: at(6 * time.Second), To: at(7 * time.Second), Kept: true}},
		{Message: Message{Time: at(8 * time.Second), Topic: "a/long", Payload: bytes.Repeat([]byte("0123456789"), 20_000), QoS: 2, PacketID: 2}},
	}
}

func writeLines(t testing.TB, items []Item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewLines(&b)
	for i := range items {
		err := error(nil)
		if items[i].Gap != nil {
			err = w.Gap(items[i].Gap)
		} else {
			err = w.Message(&items[i].Message)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil || w.Size() != int64(b.Len()) {
		t.Fatalf("%v, size %d of %d", err, w.Size(), b.Len())
	}
	return b.Bytes()
}

// writeCapture writes items as the subscriber sees them.
func writeCapture(t testing.TB, items []Item) []byte { return writeCaptureFrom(t, items, at(0)) }

func writeCaptureFrom(t testing.TB, items []Item, start time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	c, err := NewCapture(&b, "broker.example:1883", "iotctl test")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	packet := func(from dissect.Direction, when time.Time, p mqtt.Packet) {
		t.Helper()
		raw, err := p.Append(nil, mqtt.V5)
		check(err)
		check(c.Packet(from, when, raw))
	}
	connect := func(when time.Time) {
		packet(dissect.FromClient, when, mqtt.Connect{
			Version: mqtt.V5, ClientID: "c", HasUsername: true, Username: "ann-user", HasPassword: true, Password: []byte("hunter2"),
			Properties: mqtt.Properties(nil).AppendString(mqtt.PropAuthenticationMethod, "m").AppendBytes(mqtt.PropAuthenticationData, []byte("hunter3")),
		})
		packet(dissect.FromServer, when, mqtt.Connack{})
	}
	check(err)
	connect(start)
	for i := range items {
		if g := items[i].Gap; g != nil {
			check(c.Lost(g.From, "connection lost"))
			connect(g.To.Add(start.Sub(at(0))))
			check(c.Gap(g))
			continue
		}
		m := &items[i].Message
		check(c.Message(m))
		switch m.QoS {
		case 1:
			packet(dissect.FromClient, m.Time, mqtt.Puback{PacketID: m.PacketID})
		case 2:
			packet(dissect.FromClient, m.Time, mqtt.Pubrec{PacketID: m.PacketID})
			packet(dissect.FromServer, m.Time, mqtt.Pubrel{PacketID: m.PacketID})
			packet(dissect.FromClient, m.Time, mqtt.Pubcomp{PacketID: m.PacketID})
		}
	}
	check(c.Close(at(time.Minute)))
	if c.Size() != int64(b.Len()) {
		t.Errorf("size %d of %d", c.Size(), b.Len())
	}
	return b.Bytes()
}

func options() Options { return Options{Dissectors: []dissect.Dissector{dissect.MQTT{}}} }

// readAll reads to the end, and returns the error there.
func readAll(t testing.TB, b []byte, o Options) ([]Item, error) {
	t.Helper()
	r, err := Open(bytes.NewReader(b), o)
	if err != nil {
		return nil, err
	}
	var all []Item
	for {
		item, err := r.Next()
		if err != nil {
			return all, err
		}
		item.Payload = bytes.Clone(item.Payload)
		item.Properties = bytes.Clone(item.Properties)
		all = append(all, item)
	}
}

var sameItems = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)}

func TestRecordingsLoseNothing(t *testing.T) {
	for name, b := range map[string][]byte{"lines": writeLines(t, sample()), "capture": writeCapture(t, sample())} {
		got, err := readAll(t, b, options())
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(sample(), got, sameItems); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestCapturesHaveNoCredentials(t *testing.T) {
	b := writeCapture(t, sample())
	for _, secret := range []string{"hunter2", "hunter3", "ann-user"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%q is there", secret)
		}
	}
}

func TestSkippedMessagesLeaveNoAcknowledgements(t *testing.T) {
	items := sample()
	var whole, without bytes.Buffer
	for _, b := range []*bytes.Buffer{&whole, &without} {
		c, err := NewCapture(b, "b", "t")
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := mqtt.Connect{Version: mqtt.V5}.Append(nil, mqtt.V5)
		if err := c.Packet(dissect.FromClient, at(0), raw); err != nil {
			t.Fatal(err)
		}
		size := c.Size()
		m := &items[2].Message
		if b == &without {
			c.Skip(m)
		} else if err := c.Message(m); err != nil {
			t.Fatal(err)
		}
		for _, p := range []mqtt.Packet{mqtt.Pubrec{PacketID: m.PacketID}, mqtt.Pubcomp{PacketID: m.PacketID}} {
			raw, _ := p.Append(nil, mqtt.V5)
			if err := c.Packet(dissect.FromClient, at(1), raw); err != nil {
				t.Fatal(err)
			}
		}
		if grown := c.Size() > size; grown != (b == &whole) {
			t.Errorf("grown %v", grown)
		}
	}
}

// A kill cuts a recording anywhere: what is before the cut is read, and after the
// cut has been taken away one can go on.
func TestCutRecordingsAreReadUpToTheCut(t *testing.T) {
	items := sample()[:6]
	for name, b := range map[string][]byte{"lines": writeLines(t, items), "capture": writeCapture(t, items)} {
		more := b
		if name == "capture" {
			more = writeCaptureFrom(t, items, at(-1)) // another process, at another time
		}
		for cut := 0; cut < len(b); cut += 7 {
			got, err := readAll(t, b[:cut], options())
			line := (*Malformed)(nil)
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !(errors.As(err, &line) && line.Cut) {
				t.Fatalf("%s, %d bytes: %v", name, cut, err)
			}
			if diff := cmp.Diff(items[:len(got)], got, sameItems); diff != "" {
				t.Fatalf("%s, %d bytes: -want +got:\n%s", name, cut, diff)
			}
			end, size, err := End(bytes.NewReader(b[:cut]), name == "capture")
			if err != nil || size != int64(cut) || end > size {
				t.Fatalf("%s, %d bytes: end %d, %v", name, cut, end, err)
			}
			again, err := readAll(t, append(append([]byte{}, b[:end]...), more...), options())
			if !errors.Is(err, io.EOF) || len(again) < len(got)-1+len(items) {
				t.Fatalf("%s, gone on at %d: %d items of %d and %d, %v", name, end, len(again), len(got), len(items), err)
			}
		}
	}
}

func TestWhatIsNoRecordingIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"prose":           "hello\n",
		"an array":        "[1]\n",
		"no topic":        `{"payload":"x"}` + "\n",
		"no payload":      `{"topic":"a"}` + "\n",
		"a bad gap":       `{"gap":7}` + "\n",
		"a broken middle": `{"topic":"a","payload":1` + "\n" + `{"topic":"a","payload":1}` + "\n",
		"a long line":     `{"topic":"a","payload":"` + strings.Repeat("x", 200_000) + `"}` + "\n",
	} {
		o := options()
		o.MaxLine = 100_000
		_, err := readAll(t, []byte(text), o)
		line := (*Malformed)(nil)
		if !errors.Is(err, ErrNoRecording) && (!errors.As(err, &line) || line.Cut || line.Line != 1) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readAll(t, []byte(" \n\n{\"topic\":\"a\",\"payload\":1}\n\n"), options()); !errors.Is(err, io.EOF) {
		t.Errorf("blank lines: %v", err)
	}
	if _, _, err := End(strings.NewReader("hello"), false); err == nil {
		t.Error("prose can be gone on with")
	}
	if _, _, err := End(strings.NewReader("hello, this is no capture"), true); err == nil {
		t.Error("prose can be gone on with as a capture")
	}
}

func FuzzOpen(f *testing.F) {
	items := sample()[:6]
	f.Add(writeLines(f, items))
	f.Add(writeCapture(f, items))
	f.Add([]byte(`{"gap":{"from":"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := readAll(t, b, options())
		for i := range got {
			if got[i].Gap == nil && got[i].Topic == "" {
				t.Errorf("item %d has no topic", i)
			}
		}
		_, _, _ = End(bytes.NewReader(b), false)
		_, _, _ = End(bytes.NewReader(b), true)
	})
}

// Lines that were compressed are read as far as they go, too.
func TestLinesInGzipAreRead(t *testing.T) {
	var items []Item
	for i := range 5000 {
		items = append(items, Item{Message: Message{Time: at(time.Duration(i) * time.Second), Topic: fmt.Sprint("a/", i), Payload: []byte("x")}})
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(writeLines(t, items)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	all, err := readAll(t, b.Bytes(), options())
	if !errors.Is(err, io.EOF) || len(all) != len(items) || all[4999].Topic != "a/4999" {
		t.Errorf("%d items, %v", len(all), err)
	}
	all, err = readAll(t, b.Bytes()[:b.Len()/2], options())
	if bad := (*Malformed)(nil); !errors.As(err, &bad) || !bad.Cut || len(all) == 0 || len(all) == len(items) {
		t.Errorf("%d items, %v", len(all), err)
	}
	if _, err := readAll(t, []byte("\x1f\x8bnothing of the kind"), options()); !errors.Is(err, ErrNoRecording) {
		t.Error(err)
	}
}
