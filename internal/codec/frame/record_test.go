package frame

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// decode reads one datagram.
func decode(t testing.TB, c *Codec, data []byte) (*Record, error) {
	t.Helper()
	s, r := c.Splitter(Up), &Record{}
	f, _, err := s.Gap(data)
	if err != nil {
		t.Fatal(err)
	}
	return r, c.Decode(f, Up, r)
}

// Each value knows the bytes that it comes from.
func TestOffsets(t *testing.T) {
	c := parse(t, `
framing: whole
fields:
- {name: a, type: u1}
- {name: g, type: group, fields: [{name: b, type: u2}, {name: c, type: str, len: u1}]}
- {name: list, type: array, count: 2, item: {type: u1}}
- {name: turned, type: group, size: 4, reverse: true, fields: [{name: d, type: u1}, {name: e, type: u3}]}
- {name: pairs, type: kv, sep: ";", eq: "=", until: "00", keys: {k: {type: str}}}
- {name: last, type: u1, at: -1}
`)
	r, err := decode(t, c, unhex(t, "01 0203 026869 0405 06070809 6b3d763b783d79 00 ff"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]int{
		"a": {0, 1}, "g": {1, 5}, "g.b": {1, 2}, "g.c": {4, 2}, "list": {6, 2}, "turned.d": {11, 1}, "turned.e": {8, 3},
		"pairs.k": {14, 1}, "pairs.x": {18, 1}, "last": {20, 1},
	} {
		v, ok := r.Get(name)
		if !ok || v.Off != want[0] || v.Len != want[1] {
			t.Errorf("%s: %v, %+v, want %v", name, ok, v, want)
		}
	}
	if _, ok := r.Get("g.nothing"); ok {
		t.Error("there is no g.nothing")
	}
}

// Names that come out of a frame can neither break the JSON nor stand in for
// a field of the definition.
func TestHostileNames(t *testing.T) {
	c := parse(t, "framing: whole\nfields:\n- {name: id, type: str, len: u1}\n- {type: kv, sep: \";\", eq: \"=\"}\ndevice_id: id\nmessage: m")
	for text, want := range map[string]string{
		"\x01a\"}=1;\x00=\xff;=2;;k": `{"message":"m","id":"a","\"}":"1","\u0000":"` + "\ufffd" + `","k":""}`,
		"\x01amessage=x":             `{"id":"a","message":"x"}`,
	} {
		text := strings.Replace(text, "\x01a\"", "\x01a\"", 1)
		r, err := decode(t, c, []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := r.AppendJSON(nil); string(got) != want || !json.Valid(got) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"\x01aid=b", "\x01ax=1;x=2"} {
		if r, err := decode(t, c, []byte(text)); err == nil || !strings.Contains(err.Error(), "given twice") {
			t.Errorf("%q: %v: %s", text, err, r.AppendJSON(nil))
		}
	}
}

func TestTopics(t *testing.T) {
	c := parse(t, "framing: whole\nfields: [{name: id, type: str, size: rest}]\ndevice_id: id\nmessage: m\nuplink: {topic: \"a/${device_id}/${message}\"}\ndownlink: {topic: \"${device_id}/dn\", encode: \"00\"}")
	for id, want := range map[string]string{
		"d1": "a/d1/m", "粤B": "a/粤B/m", "a/b": "", "a+b": "", "#": "", "a\x00": "", "\xff": "", "$x": "a/$x/m",
	} {
		r, err := decode(t, c, []byte(id))
		if err != nil {
			t.Fatal(err)
		}
		topic, err := c.AppendTopic(nil, r, "other")
		if string(topic) != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", id, topic, err, want)
		}
	}
	for id, want := range map[string]string{"d1": "d1/dn", "": "", "$SYS": "", "a/b": ""} {
		topic, err := c.AppendDownlinkTopic(nil, id)
		if string(topic) != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", id, topic, err, want)
		}
	}
}

// Frames that announce much cost neither memory nor time.
func TestHostileCounts(t *testing.T) {
	for name, yaml := range map[string]string{
		"a count":                  "fields: [{name: n, type: u4}, {name: a, type: array, count: n, item: {type: u1}}]",
		"elements without bytes":   "fields: [{name: a, type: array, count: eos, fields: [{name: x, type: u1, at: 0}]}]",
		"counted ones, in others":  "fields: [{name: n, type: u1}, {name: a, type: array, count: 4000, item: {type: array, count: 4000, item: {type: u1, optional: true, at: 9999}}}]",
		"values":                   "fields: [{name: a, type: array, count: 4000, item: {type: array, count: 4000, item: {type: u1, at: 0}}}]",
		"a length":                 "fields: [{name: a, type: hex, len: u4}]",
		"a size":                   "fields: [{name: n, type: u8}, {name: a, type: hex, size: n}]",
		"a size below nothing":     "fields: [{name: n, type: u1}, {name: a, type: hex, size: n-300}]",
		"a tag":                    "fields: [{type: tlv, tag: u1, length: u4, cases: {1: {name: a, type: u1}}}]",
		"a varint that never ends": "fields: [{name: a, type: varint}]",
	} {
		c := parse(t, "framing: whole\n"+yaml)
		r, err := decode(t, c, bytes.Repeat([]byte{0xff}, 64))
		if err == nil {
			t.Errorf("%s: no error: %d values", name, len(r.Values))
		}
		if len(r.Values) > maxValues+64 {
			t.Errorf("%s: %d values", name, len(r.Values))
		}
	}
}

// A record that a large frame has blown up does not stay so.
func TestRecordShrinks(t *testing.T) {
	c := parse(t, "framing: whole\nmax_frame: 65536\nfields: [{name: a, type: array, count: eos, max_items: 65536, item: {type: u1}}]")
	s, r := c.Splitter(Up), &Record{}
	for _, n := range []int{60000, 1} {
		f, _, err := s.Gap(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Decode(f, Up, r); err != nil {
			t.Fatal(err)
		}
	}
	if cap(r.Values) > keptValues {
		t.Errorf("room for %d values is kept", cap(r.Values))
	}
}

func TestPayloads(t *testing.T) {
	const fields = "fields: [{name: a, type: u1}, {name: b, type: hex, size: 2}, {name: c, type: str, size: rest}]\nmessage: m\nuplink: {topic: t, payload: "
	for payload, want := range map[string]string{
		"json":        `{"message":"m","a":1,"b":"0203","c":"hi"}`,
		"raw":         "\x01\x02\x03hi",
		"hex":         "0102036869",
		"\"field:a\"": "1",
		"\"field:b\"": "\x02\x03",
		"\"field:c\"": "hi",
	} {
		c := parse(t, "framing: whole\n"+fields+payload+"}")
		r, err := decode(t, c, []byte("\x01\x02\x03hi"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.AppendPayload(nil, r); string(got) != want {
			t.Errorf("%s: %q, want %q", payload, got, want)
		}
	}
}
