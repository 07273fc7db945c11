package frame

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What each placeholder makes of a member of the JSON.
func TestEncode(t *testing.T) {
	env := Env{Now: time.Date(2025, 1, 31, 22, 5, 9, 7e6, time.UTC), Seq: 0x10203, DeviceID: "013511221122"}
	for _, tt := range []struct{ template, json, want string }{
		{"aa 'B''C' 0d", `{}`, "aa42430d"},
		{"{a:u1}{a:u2}{a:u2le}{a:u3}{a:s4}", `{"a":1}`, "01" + "0001" + "0100" + "000001" + "00000001"},
		{"{a:u8}", `{"a":18446744073709551615}`, "ffffffffffffffff"},
		{"{a:s1}{a:s2}{a:s8}", `{"a":-2}`, "fefffefffffffffffffffe"},
		{"{a:u1}", `{"a":256}`, "error: {a:u1}: 256 does not fit into u1"},
		{"{a:u1}", `{"a":-1}`, "error: {a:u1}: -1 does not fit into u1"},
		{"{a:s1}", `{"a":128}`, "error: {a:s1}: 128 does not fit into s1"},
		{"{a:u1}", `{"a":1.5}`, `error: {a:u1}: "1.5" is not a whole number`},
		{"{a:u1}", `{"a":"0x1f"}`, "1f"},
		{"{a:u1}", `{"a":true}`, "01"},
		{"{a:u1}", `{}`, "error: {a:u1}: is not there"},
		{"{a:u1=7}{b:str=on}{c:hex=}", `{}`, "076f6e"},
		{"{a:u2+16}{a:u1-1}", `{"a":1}`, "001100"},
		{"{a:u1-2}", `{"a":1}`, "error: {a:u1-2}: -1 does not fit into u1"},
		{"{a:u2+2:max=0x3ff}", `{"a":1021}`, "03ff"},
		{"{a:u2+2:max=0x3ff}", `{"a":1022}`, "error: {a:u2+2:max=0x3ff}: 1024 is more than 1023"},
		{"{a:s1:max=1}", `{"a":-5}`, "fb"},
		{"{len:u1-1:max=4}{payload}", `{"a":1}`, "error: {len:u1-1:max=4}: 7 is more than 4"},
		{"{a:f4}{a:f8le}", `{"a":1.5}`, "3fc00000" + "000000000000f83f"},
		{"{a:str}{a:str:4}", `{"a":"ab"}`, "6162" + "61620000"},
		{"{a:str:1}", `{"a":"ab"}`, `error: {a:str:1}: "ab" has more than 1 bytes`},
		{"{a:str:gbk}", `{"a":"中"}`, "d6d0"},
		{"{a:hex}{a:hex:3:reverse}", `{"a":"01 02"}`, "0102" + "000201"},
		{"{a:hex}", `{"a":"0"}`, `error: {a:hex}: "0" is no hex`},
		{"{a:bcd:3}", `{"a":"12345"}`, "012345"},
		{"{a:bcd:2:reverse:add=0x33}", `{"a":1234}`, "6745"},
		{"{a:bcd:1}", `{"a":"123"}`, `error: {a:bcd:1}: "123" has more than 2 digits`},
		{"{a:hex:xor=55}", `{"a":"5500"}`, "0055"},
		{"{a:ascii_int}{a:ascii_int:4}{a:ascii_hex:2}", `{"a":10}`, "3130" + "30303130" + "3041"},
		{"{a:ascii_float}", `{"a":-1.25}`, "2d312e3235"},
		{"{a:ip4}{b:mac}", `{"a":"10.0.0.1","b":"01:23:45:67:89:ab"}`, "0a000001" + "0123456789ab"},
		{"{a:json}", `{"a":{"x":[1,"é"]}}`, fmt.Sprintf("%x", `{"x":[1,"é"]}`)},
		{"{count(a):u1}{len(a):u2}{a:u2[]}", `{"a":[1,2,3]}`, "03" + "0006" + "000100020003"},
		{"{a:u4}", `{"a":1e400}`, `error: {a:u4}: "1e400" is not a whole number`},
		{"{a:f8}", `{"a":1e400}`, `error: {a:f8}: "1e400" is not a number`},
		{"{a:str}", `{"a":{"b":1}}`, `error: {a:str}: "{\"b\":1}", where one value is wanted`},
		{"{a:str[]}", `{"a":["b",{}]}`, `error: {a:str[]}: "{}", where one value is wanted`},
		{"{a:hex[]}", `{"a":[["00"]]}`, `error: {a:hex[]}: "[\"00\"]", where one value is wanted`},
		{"{a:json[]}", `{"a":[{},[]]}`, fmt.Sprintf("%x", "{}[]")},
		{"{a:u2}", `{"a":[1]}`, "error: {a:u2}: a list, where one value is wanted ({a:u2[]} takes lists)"},
		{"{device_id:bcd:6}{seq}{seq:u4}{now:yymmddhhmmss-bcd}", `{"device_id":"9"}`, "013511221122" + "0203" + "00010203" + "250131220509"},
		{"{now:unix-s}{now:yyyymmddwwhhmmssms-bin}{now:yyyy-mm-dd hh:mm}", `{}`, "679d4915" + "07e9011f05160509" + "0007" + fmt.Sprintf("%x", "2025-01-31 22:05")},
		{"{len:u1-1}{payload}", `{"a":1}`, "07" + fmt.Sprintf("%x", `{"a":1}`)},
	} {
		c := parse(t, "framing: whole\ndownlink: {encode: \""+tt.template+"\"}")
		got, err := c.Encode(nil, []byte(tt.json), env)
		text := fmt.Sprintf("%x", got)
		if err != nil {
			text = "error: " + strings.TrimPrefix(err.Error(), "downlink: encode: ")
		}
		if text != tt.want {
			t.Errorf("%s of %s: %s, want %s", tt.template, tt.json, text, tt.want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	c := parse(t, "framing: whole\ndownlink: {encode: {by: cmd, cases: {one: \"01\", two: \"02 {a:u1}\"}}}")
	for payload, want := range map[string]string{
		`{"cmd":"three"}`:       `downlink: cmd: "three" is none of one, two`,
		`{}`:                    `downlink: cmd: "" is none of one, two`,
		`[1]`:                   "the payload is no JSON object",
		``:                      "the payload is no JSON object",
		`{"cmd":"one"} x`:       "more follows the JSON object",
		`{"cmd":"two"}`:         "{a:u1}: is not there",
		`{"cmd":"two","a":[1]}`: "a list, where one value is wanted",
	} {
		if out, err := c.Encode(nil, []byte(payload), Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: % x, %v, want %s", payload, out, err, want)
		}
	}
	if _, err := parse(t, "framing: whole").Encode(nil, []byte("{}"), Env{}); err == nil {
		t.Error("a definition without downlink encodes")
	}
}

// A value cannot smuggle in the end of a frame and begin one of its own.
func TestNoFrameInsideAValue(t *testing.T) {
	lines := parse(t, "framing: {delimiter: \"0a\", strip: true}\ndownlink: {encode: \"{payload} 0a\"}")
	if out, err := lines.Encode(nil, []byte("reboot\nerase"), Env{}); err == nil {
		t.Errorf("two lines out of one message: %q", out)
	}
	if out, err := lines.Encode(nil, []byte("reboot"), Env{}); err != nil || string(out) != "reboot\n" {
		t.Errorf("%q, %v", out, err)
	}
	wide := parse(t, "framing: {delimiter: \"0d0a\", strip: true}\ndownlink: {encode: \"'OK' 0d0a {a:str} 0a 'END' 0d0a\"}")
	for text, ok := range map[string]bool{"x": true, "x\ry": true, "x\r": false, "\n": true, "\r\n": false} {
		payload := appendQuoted([]byte(`{"a":`), text)
		if out, err := wide.Encode(nil, append(payload, '}'), Env{}); (err == nil) != ok {
			t.Errorf("%q: %q, %v", text, out, err)
		}
	}
	escaped := parse(t, "framing: {start: \"7e\", end: \"7e\"}\npreprocess: {unescape: {\"7d02\": \"7e\", \"7d01\": \"7d\"}}\ndownlink: {encode: \"7e {a:hex} 7e\"}")
	out, err := escaped.Encode(nil, []byte(`{"a":"017e7d"}`), Env{})
	if err != nil || fmt.Sprintf("%x", out) != "7e017d027d017e" {
		t.Errorf("% x, %v", out, err)
	}
}

// The length and checksum of an answer are those of its own frame.
func TestReply(t *testing.T) {
	const framing = "framing: {start: \"55\", length: {offset: 1, size: 1}, body: [2, 1]}\nchecksum: {algo: sum8, range: [1, -1], at: -1}\n"
	for _, tt := range []struct{ fields, frame, want string }{
		{"fields: [{name: a, type: u2, div: 10}]\nreply: \"55 {len} {a} {a:u2} {a:ascii_int} {crc}\"", "55 03 0102 06", "55080102010232353 8" + "ad"},
		{"fields: [{name: a, type: bcd, size: 2, reverse: true}]\nreply: \"55 {len} {a} {a:str} {crc}\"", "55 03 1234 49", "55071234333431321 7"},
		{"fields: [{name: a, type: u1, map: {2: two}}, {name: b, type: u1, bits: {low: [0, 4]}, flat: true}]\nreply: \"55 {len} {a:u1} {low:u1} {crc}\"", "55 03 021f 24", "5503020f14"},
		{"fields: [{name: a, type: array, count: 2, item: {type: u1}}]\nreply: \"55 {len} {count(a):u1} {a:u2[]} {crc}\"", "55 03 0102 06", "5506020001 0002 0b"},
		{"fields: [{name: a, type: u2}]\ndevice_id: a\nreply: \"{device_id:str} {seq:u1}\"", "55 03 0102 06", "32353807"},
		{"fields: [{name: a, type: u2}]\nreply: none", "55 03 0102 06", ""},
	} {
		c := parse(t, framing+tt.fields)
		s, r := c.Splitter(Up), &Record{}
		f, _, err := s.Next(unhex(t, tt.frame))
		if err != nil {
			t.Fatalf("%s: %v", tt.frame, err)
		}
		if err := c.Decode(f, Up, r); err != nil {
			t.Fatal(err)
		}
		got, ok, err := c.Reply(nil, r, Env{Seq: 7})
		if want := fmt.Sprintf("%x", unhex(t, tt.want)); err != nil || ok != (want != "") || fmt.Sprintf("%x", got) != want {
			t.Errorf("%s: %x (%v, %v), want %s", tt.fields, got, ok, err, want)
		}
	}
}

// A length field is written as its frames have it.
func TestReplyLengths(t *testing.T) {
	for length, want := range map[string]string{
		`type: ascii, size: 3, offset: 1`:                 "23" + "303034" + "61626364",
		`type: ascii_hex, size: 2, offset: 1, adjust: 8`:  "error", // less than nothing
		`type: ascii_hex, size: 2, offset: 1, adjust: -8`: "23" + "3043" + "61626364",
		`type: bcd, size: 2, offset: 1`:                   "23" + "0004" + "61626364",
		`size: 2, offset: 1, endian: le`:                  "23" + "0400" + "61626364",
		`size: 1, offset: 1, includes: frame`:             "23" + "06" + "61626364",
		`size: 1, offset: 1, adjust: -300`:                "error",
	} {
		c := parse(t, "framing: {start: \"23\", length: {"+length+"}}\ndownlink: {encode: \"23 {len} {a:str}\"}")
		got, err := c.Encode(nil, []byte(`{"a":"abcd"}`), Env{})
		text := fmt.Sprintf("%x", got)
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%s: %s, want %s (%v)", length, text, want, err)
		}
	}
}

// What a template needs and the frame does not have is an error, not a hole.
func TestReplyWithoutItsField(t *testing.T) {
	c := parse(t, "framing: whole\nfields: [{name: a, type: u1}, {name: b, type: u1, optional: true}]\nreply: \"{a} {b}\"")
	s, r := c.Splitter(Up), &Record{}
	f, _, err := s.Gap([]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(f, Up, r); err != nil {
		t.Fatal(err)
	}
	if out, ok, err := c.Reply([]byte("x"), r, Env{}); err == nil || ok || string(out) != "x" {
		t.Errorf("%q, %v, %v", out, ok, err)
	}
}

// The length of a jt808 body has ten bits; one more would say that the body is
// encrypted.
func TestLengthDoesNotRunIntoFlags(t *testing.T) {
	c, err := Open("jt808")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cmd  string
		size int
		ok   bool
	}{{"text", 1022, true}, {"text", 1023, false}, {"text-2019", 1021, true}, {"text-2019", 1022, false}} {
		payload := fmt.Sprintf(`{"cmd":%q,"text":%q}`, tt.cmd, strings.Repeat("x", tt.size))
		if out, err := c.Encode(nil, []byte(payload), Env{DeviceID: "013511221122"}); (err == nil) != tt.ok {
			t.Errorf("%s of %d bytes: % x, %v", tt.cmd, tt.size, out[:min(len(out), 5)], err)
		}
	}
}
