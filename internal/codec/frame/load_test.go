package frame

import (
	"strings"
	"testing"
)

// What Parse complains about, with the line and a way out.
func TestParseErrors(t *testing.T) {
	const head = "codec: test\nframing: {fixed: 4}\n"
	for _, tt := range []struct{ name, yaml, want string }{
		{"empty", "", "the file is empty"},
		{"no mapping", "- a", "1: codec: want a mapping"},
		{"no YAML", "a: [", "did not find"},
		{"comment alone", "# a", "the file is empty"},
		{"two definitions", head + "---\ncodec: more\nframing: whole\n", "3: a second definition"},
		{"no YAML behind the first", head + "---\na: [\n", "did not find"},
		{"no name", "framing: whole", "1: codec: a name without spaces"},
		{"no framing", "codec: a", "1: framing is missing"},
		{"unknown key", head + "filds: []", `3: codec: unknown key "filds": did you mean "fields"?`},
		{"key given twice", head + "doc: a\ndoc: b", `4: codec: "doc" is given twice`},
		{"boolean key", head + "fields:\n- {name: a, type: switch, on: b}", `4: field: key "on" is a boolean for many YAML readers`},
		{"boolean map key", head + "fields: [{name: a, type: u1, bits: {y: 1}}]", `key "y" is a boolean`},
		{"unquoted hex", "codec: a\nframing: {start: 7878, fixed: 4}", "2: framing: start: put hex in quotes"},
		{"hex that YAML reads as a float", "codec: a\nframing: {delimiter: 7e2}", "put hex in quotes, because YAML reads 7e2 as a number"},
		{"odd hex", "codec: a\nframing: {delimiter: \"0d0\"}", "odd number of hex digits"},
		{"no hex", "codec: a\nframing: {delimiter: \"##\"}", `text goes in single quotes: "'##' 0d0a"`},
		{"wildcard outside start", "codec: a\nframing: {delimiter: \"0?\"}", "? stands for any digit only in start"},
		{"two framings", "codec: a\nframing: {fixed: 4, delimiter: \"0a\"}", "give only one of length, fixed, delimiter"},
		{"no end", "codec: a\nframing: {start: \"68\"}", "nothing says where a frame ends"},
		{"no length size", "codec: a\nframing: {length: {offset: 0}}", "length: size is missing"},
		{"long length", "codec: a\nframing: {length: {offset: 0, size: 9}}", "at most 8"},
		{"variant behind one that takes all", "codec: a\nframing:\n- {fixed: 4}\n- {start: \"68\", fixed: 5}", "4: framing: never reached: the variant in line 3"},
		{"negative body", "codec: a\nframing: {fixed: 4, body: [3, 2]}", "body and strip leave nothing of 4 bytes"},
		{"checksum outside", head + "checksum: {algo: sum8, range: [0, -1], at: 9}", "3: checksum: range and at do not fit into 4 bytes"},
		{"checksum without room", head + "checksum: {algo: crc16-arc, range: [0, -2], at: -1}", "leaves no room for 2 bytes"},
		{"unknown algorithm", head + "checksum: {algo: crc16-x52, range: [0, -2], at: -2}", "did you mean crc16-x25?"},
		{"family of algorithms", head + "checksum: {algo: crc16, range: [0, -2], at: -2}", "did you mean one of crc16-arc, crc16-ccitt-false, crc16-hj212, "},
		{"custom without poly", head + "checksum: {custom: {width: 8}, range: [0, -1], at: -1}", "custom needs width and poly"},
		{"escape of one byte", head + "preprocess: {unescape: {\"7d\": \"7e\"}}", "want two bytes that stand for one"},
		{"unknown type", head + "fields: [{name: a, type: str8, size: 1}]", `3: field a: there is no type "str8": did you mean str?`},
		{"type of another language", head + "fields: [{name: a, type: i16}]", `there is no type "i16": here it is s2`},
		{"no type", head + "fields: [{name: a}]", "field a: type is missing"},
		{"no name of a field", head + "fields: [{type: u1}]", "field: name is missing"},
		{"no size", head + "fields: [{name: a, type: hex}]", "field a: its size is missing"},
		{"two sizes", head + "fields: [{name: a, type: hex, size: 1, len: u1}]", "give only one of size, len and until"},
		{"later field as size", head + "fields: [{name: a, type: hex, size: n2}, {name: n2, type: u1}]", `there is no field "n2" before this line`},
		{"behind the rest", head + "fields: [{name: a, type: hex, size: rest+1}]", "no bytes behind the rest"},
		{"same name", head + "fields: [{name: a, type: u1}, {name: a, type: u1}]", `"a" is there twice`},
		{"bad name", head + "fields: [{name: \"a}\", type: u1}]", "is no good name"},
		{"bad division", head + "fields: [{name: a, type: u1, div: 0}]", "div: by 0"},
		{"bits outside", head + "fields: [{name: a, type: u1, bits: {b: [6, 4]}}]", "bits 6 to 9 are not among 8 bits"},
		{"signed", head + "fields: [{name: a, type: u1, signed: true}]", "signed: want magnitude"},
		{"min above max", head + "fields: [{name: a, type: u1, min: 3, max: 2}]", "min is more than max"},
		{"no such case field", head + "fields: [{type: switch, by: knd, cases: {1: {}}}]", `there is no field "knd"`},
		{"word for a number", head + "fields: [{name: k, type: u1}, {type: switch, by: k, cases: {1: {}, two: {}}}]", `3: cases: "two" is never reached, because k is a number: want numbers such as 1`},
		{"word in a list", head + "fields: [{name: k, type: u1}, {type: switch, by: k, cases: {\"1, two\": {}}}]", `cases: "two" is never reached`},
		{"quoted number", head + "fields: [{name: k, type: u1}, {type: switch, by: k, cases: {\"0x12\": {}}}]", `"0x12" is never reached, because k is a number: leave out the quotes`},
		{"word of a map", head + "fields: [{name: k, type: u1, map: {0: zero}}, {type: switch, by: k, cases: {zero: {}}}]", `cases: "zero" is never reached`},
		{"word for bits", head + "fields: [{name: s, type: u1, flat: true, bits: {k: 1}}, {type: switch, by: k, cases: {one: {}}}]", `cases: "one" is never reached`},
		{"word for a tag", head + "fields: [{type: tlv, tag: u1, length: u1, cases: {one: {type: u1}}}]", `"one" is never reached, because tag is a number`},
		{"case twice", head + "fields: [{name: k, type: u1}, {type: switch, by: k, cases: {0x01: {}, 1: {}}}]", "cases: 0x1 is there twice"},
		{"direction twice", head + "fields: [{name: k, type: u1}, {type: switch, by: k, cases: {1: [{dir: up}, {dir: up}]}}]", "twice for direction up"},
		{"regex", head + "fields: [{type: regex, pattern: \"(\"}]", "missing closing )"},
		{"regex without names", head + "fields: [{type: regex, pattern: \"(a)\"}]", "pattern has no named parts"},
		{"regex with other names", head + "fields: [{type: regex, pattern: \"(?P<a>b)\", fields: {c: {type: str}}}]", `unknown key "c"`},
		{"time", head + "fields: [{name: a, type: time, format: yyxx-bcd}]", `"xx" is none of yyyy yy mm`},
		{"zone", head + "tz: Mars/Olympus", `"Mars/Olympus" is unknown`},
		{"array without count", head + "fields: [{name: a, type: array, item: {type: u1}}]", "count is missing"},
		{"named item", head + "fields: [{name: a, type: array, count: 1, item: {name: b, type: u1}}]", "have no name"},
		{"kv without eq", head + "fields: [{type: kv, sep: \";\"}]", "kv needs sep"},
		{"at in changed bytes", head + "fields: [{name: g, type: group, size: 2, add: 1, fields: [{name: a, type: u1, at: 0}]}]", "at counts in the frame"},
		{"device id", head + "device_id: imei", `there is no field "imei"`},
		{"reply field", head + "fields: [{name: serial, type: u2}]\nreply: \"00 {seriel}\"", "did you mean serial?"},
		{"reply with something like a checksum", head + "reply: \"00 {crcx}\"", `there is no field "crcx": did you mean crc?`},
		{"reply without checksum", head + "reply: \"00 {crc}\"", "frames that begin like this have 0 checksums"},
		{"reply without length", head + "reply: \"00 {len}\"", "{len:u2-15} is the length of the whole frame"},
		{"reply not closed", head + "reply: \"00 {len\"", "has no closing }"},
		{"reply option", head + "fields: [{name: a, type: u1}]\nreply: \"{a:u1:upside}\"", `unknown option "upside"`},
		{"reply option without number", head + "fields: [{name: a, type: u1}]\nreply: \"{a:u1:max=0}\"", "max=0 is no number above 0"},
		{"reply option of text", head + "fields: [{name: a, type: u1}]\nreply: \"{a:str:max=3}\"", `unknown option "max=3"`},
		{"reply that is a number", head + "reply: 0000", "want a template in quotes"},
		{"payload in a reply", head + "reply: \"{payload}\"", "only a downlink has a payload"},
		{"downlink without a type", head + "downlink: {encode: \"{a}\"}", "want a type: {a:u2}"},
		{"downlink without encode", head + "downlink: {topic: a}", "encode is missing"},
		{"length of nothing", head + "downlink: {encode: \"{len(a):u1}\"}", "the template has no {a:...}"},
		{"topic with a wildcard", head + "uplink: {topic: \"a/+/b\"}", "has no + # or NUL"},
		{"topic with something like the device", head + "uplink: {topic: \"a/${devid}\"}", `there is no field "devid": there are codec, device_id, message`},
		{"topic of the broker", head + "uplink: {topic: \"$SYS/a\"}", "are the broker's"},
		{"topic variable", head + "uplink: {topic: \"a/${b}\"}", `there is no field "b"`},
		{"downlink topic variable", head + "fields: [{name: b, type: u1}]\ndownlink: {topic: \"a/${b}\", encode: \"00\"}", "only ${device_id} and ${codec}"},
		{"message of the session", head + "message: login\nsession: {require: logon}", "did you mean login?"},
		{"password", head + "session: {password: pw}", `there is no field "pw"`},
		{"duration", head + "session: {idle_timeout: 5}", "want a duration such as 50ms"},
		{"vector without bytes", head + "tests: [{want: {a: 1}}]", "hex or text is missing"},
		{"range of a number", head + "max_frame: 99999999", "is not between 1 and 1048576"},
		{"nesting", head + "fields: " + strings.Repeat("[{name: a, type: group, fields: ", 20) + "[]" + strings.Repeat("}]", 20), "nested more than 16 deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("test.yaml", []byte(tt.yaml))
			if err == nil {
				t.Fatalf("no error; codec %v", c.Name())
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "test.yaml:") {
				t.Errorf("the error does not name the file: %v", err)
			}
		})
	}
}

// Every mistake of a file is reported at once, each with its line.
func TestAllErrors(t *testing.T) {
	_, err := Parse("test.yaml", []byte("codec: test\nframing: {fixed: 0}\nfields:\n- {name: a, type: u9}\n- {name: b, type: u1, div: 0}\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"test.yaml:2: ", "test.yaml:4: ", "test.yaml:5: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// What words a switch may list, because the values can be words.
func TestWordsAsCases(t *testing.T) {
	for _, fields := range []string{
		"[{name: k, type: str, size: 1}, {type: switch, by: k, cases: {two: {}}}]",
		"[{name: k, type: hex, size: 1}, {type: switch, by: k, cases: {0A: {}, \"12\": {}}}]",
		"[{type: kv, sep: \";\", eq: \"=\", flat: true}, {type: switch, by: k, cases: {two: {}}}]",
		"[{name: k, type: u1}, {type: switch, by: k, cases: {\"1, 0x02, 3..4\": {}, \"12\": {}}}]",
	} {
		if _, err := Parse("test.yaml", []byte("codec: test\nframing: {fixed: 4}\nfields: "+fields)); err != nil {
			t.Error(err)
		}
	}
}

// The name of a definition is found even where the rest is broken.
func TestNameIn(t *testing.T) {
	for src, want := range map[string]string{
		"# mine\ncodec: meter # a\nframing: [": "meter", "doc: a\ncodec: 'b'\n": "b", "framing: whole\n": "", "": "",
	} {
		if got := NameIn([]byte(src)); got != want {
			t.Errorf("%q: %q, want %q", src, got, want)
		}
	}
}

// A file whose aliases grow without end is refused.
func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("codec: test\nframing: {fixed: 4}\ntests:\n- hex: \"00\"\n  want:\n    a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
	for i := 1; i < 10; i++ {
		b.WriteString("    a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat("*a"+string(rune('0'+i-1))+", ", 9) + "]\n")
	}
	_, err := Parse("test.yaml", []byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "too large when its aliases are followed") {
		t.Error(err)
	}
}
