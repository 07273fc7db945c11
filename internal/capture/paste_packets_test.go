package capture

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// tcpdump prints a packet as tcpdump does: -x without text, -X with it.
func tcpdump(b []byte, text bool) string {
	var s strings.Builder
	for off := 0; off < len(b); off += 16 {
		line := b[off:min(off+16, len(b))]
		var groups []string
		for i := 0; i < len(line); i += 2 {
			groups = append(groups, hex.EncodeToString(line[i:min(i+2, len(line))]))
		}
		if !text {
			fmt.Fprintf(&s, "\t0x%04x:  %s\n", off, strings.Join(groups, " "))
			continue
		}
		printable := bytes.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return '.'
			}
			return c
		}, bytes.Map(func(c rune) rune { return c & 0x7f }, []byte(string(bytes.ToValidUTF8(line, []byte("."))))))
		fmt.Fprintf(&s, "\t0x%04x:  %-39s  %s\n", off, strings.Join(groups, " "), printable)
	}
	return s.String()
}

// TestTcpdumpGoesThroughLayers pastes what tcpdump prints of a connection.
func TestTcpdumpGoesThroughLayers(t *testing.T) {
	first, second := fromClient(100, string(connect)), fromClient(114, "\xc0\x00 ab 12 34 cd  00")
	const header = "12:00:00.000001 IP 10.0.0.0.40000 > 10.1.0.1.1883: Flags [P.], seq 100:114, ack 500, win 65535, length 14\n"
	for _, text := range []bool{false, true} {
		for _, ethernet := range []bool{false, true} {
			t.Run(fmt.Sprintf("text=%v/ethernet=%v", text, ethernet), func(t *testing.T) {
				a, b, link := first.ip(), second.ip(), uint32(linkRaw)
				if ethernet {
					a, b, link = first.ethernet(), second.ethernet(), linkEthernet
				}
				pasted, err := Paste([]byte(header+tcpdump(a, text)+header+tcpdump(b, text)), "")
				if err != nil {
					t.Fatal(err)
				}
				if pasted.Form != "tcpdump" || !pasted.Framed || pasted.Link != link || len(pasted.Packets) != 2 {
					t.Fatalf("%s, framed %v by %d, %d packets", pasted.Form, pasted.Framed, pasted.Link, len(pasted.Packets))
				}
				got := collect(t, pasted.Reader(Options{}))
				if want := string(connect) + string(second.data); len(got) != 1 || string(got[0].bytes) != want {
					t.Errorf("%d streams, %q, want %q", len(got), got[0].bytes, want)
				}
			})
		}
	}
}

// TestFramesInOtherForms has a frame copied as a hex stream: the headers are recognised.
func TestFramesInOtherForms(t *testing.T) {
	s := fromClient(100, string(connect))
	for _, tt := range []struct {
		name   string
		bytes  []byte
		framed bool
		link   uint32
	}{
		{"Ethernet", s.ethernet(), true, linkEthernet},
		{"IPv4", s.ip(), true, linkRaw},
		{"IPv6", ipv6(protoUDP, datagram4("hi")[20:]), true, linkRaw},
		{"Linux cooked", append(unhex("00000001000600010203040500000800"), s.ip()...), true, linkSLL},
		{"MQTT", connect, false, 0},
		{"wrong checksum", func() []byte { b := s.ip(); b[10]++; return b }(), false, 0},
		{"bytes behind", append(s.ip(), make([]byte, 10)...), false, 0},
		{"one byte missing", s.ip()[:53], false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Paste([]byte(hex.EncodeToString(tt.bytes)), "")
			if err != nil || got.Framed != tt.framed || got.Link != tt.link {
				t.Errorf("framed %v by %d, %v", got.Framed, got.Link, err)
			}
		})
	}
}

// TestLinesAndPackets tells lines that are packets from lines that were wrapped.
func TestLinesAndPackets(t *testing.T) {
	wide := strings.Repeat("30 31 32 33 34 35 36 37 ", 2)
	for _, tt := range []struct {
		name, text string
		split      Split
		sizes      []int
	}{
		{"lines", "c000\nd000\n40020001", SplitGuess, []int{2, 2, 4}},
		{"blank lines", "c000\n\n\nd000\n", SplitGuess, []int{2, 2}},
		{"all one", "c000\nd000\n40020001", SplitNone, []int{8}},
		{"wrapped", wide + "\n" + wide + "\n30 31", SplitGuess, []int{34}},
		{"wrapped, then another", wide + "\n30\n\n" + wide + "\n31 31", SplitGuess, []int{17, 18}},
		{"as long as wrapped ones", wide + "\n" + wide, SplitGuess, []int{16, 16}},
		{"not to be joined", wide + "\n" + wide + "\n30 31", SplitLines, []int{16, 16, 2}},
		{"comma at the end", "0x10, 0x0c,\n0x00, 0x04", SplitGuess, []int{4}},
		{"xxd, two files", "00000000: c000  ..\n00000000: d000  ..\n", SplitGuess, []int{2, 2}},
		{"hexdump -C, two files", "00000000  c0 00  |..|\n00000002\n00000000  d0 00 01  |...|\n00000003\n", SplitGuess, []int{2, 3}},
		{"tshark -x", "Frame (2 bytes):\n0000  c0 00                                            ..\n\nReassembled TCP (3 bytes):\n0000  d0 00 61                                         ..a\n", SplitGuess, []int{2, 3}},
		{"Base64 lines", "wAA=\n0AA=\n", SplitGuess, []int{2, 2}},
		{"Python lines", `b'\xc0\x00'` + "\n" + `b'\xd0\x00'` + "\n", SplitGuess, []int{2, 2}},
		{"Python list", `[b'\xc0\x00', b'\xd0\x00\x01']`, SplitGuess, []int{2, 3}},
		{"Python in parentheses", "x = (b'\\xc0\\x00'\n     b'\\xd0\\x00\\x01')", SplitGuess, []int{5}},
		{"C arrays", "char a[] = {0xc0, 0};\nchar b[3] = {0xd0, 0, 1};", SplitGuess, []int{2, 3}},
		{"C array of one", "char a[1] = {0xc0};", SplitGuess, []int{1}},
		{"escapes", `\xc0\x00` + "\n" + `\xd0\x00\x01`, SplitGuess, []int{2, 3}},
		{"log", "12:00 rx c0 00\nnothing here\n12:01 tx d0 00 01\n", SplitGuess, []int{2, 3}},
		{"a dump that begins later", "00000010: c000 0102  ....\n00000014: d0  .\n", SplitGuess, []int{5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := PasteSplit([]byte(tt.text), "", tt.split)
			if err != nil {
				t.Fatal(err)
			}
			var sizes []int
			for _, b := range got.Packets {
				sizes = append(sizes, len(b))
			}
			if fmt.Sprint(sizes) != fmt.Sprint(tt.sizes) {
				t.Errorf("%s: packets of %v bytes, want %v: %x", got.Form, sizes, tt.sizes, got.Packets)
			}
		})
	}
}

// TestHexIsPreferredToBase64 has text that both could be.
func TestHexIsPreferredToBase64(t *testing.T) {
	got, err := Paste([]byte("100c00044d515454"), "")
	if err != nil || got.Form != "hex" || !strings.Contains(got.Why, "not taken for Base64") {
		t.Errorf("%s, %q, %v", got.Form, got.Why, err)
	}
	if got, err = Paste([]byte("100c00044d515454"), "base64"); err != nil || len(got.Packets[0]) != 12 {
		t.Errorf("forced: %x, %v", got.Packets, err)
	}
}

// TestFirstBadCharacter has errors that name it.
func TestFirstBadCharacter(t *testing.T) {
	for _, tt := range []struct {
		name, text, form, want, hint string
	}{
		{"letter", "10 0c 0g 04", "", `line 1, column 8: of no known form; as hexadecimal digits: 'g' is not a hexadecimal digit`, "--in forces a form: binary, "},
		{"letter, forced", "c0 00\n10 zc", "hex", `line 2, column 4: 'z' is not a hexadecimal digit (read as hex)`, ""},
		{"behind other letters", "„c0 00”\nc0 ż0", "hex", `line 2, column 4: 'ż' is not a hexadecimal digit (read as hex)`, ""},
		{"one digit", "10 c 00 04 0a", "", `line 1, column 4: an odd number of hexadecimal digits in "c" (read as hex)`, "write 0c"},
		{"odd", "100c0", "", `line 1, column 5: an odd number of hexadecimal digits in "100c0" (read as hex)`, "a digit may be missing"},
		{"xxd", "00000000: 100c 00x4 4d51  ......", "", `line 1, column 18: 'x' is not a hexadecimal digit (read as xxd)`, ""},
		{"a line of xxd missing", "00000000: 100c 0004 4d51 5454 0402 003c 0000 0000  ....MQTT...<....\n00000020: 100c  ..", "", `line 2, column 1: the offset 00000020, where 10 is next (read as xxd)`, "a line may be missing"},
		{"asterisk at the end", "00000000: 0000  ..\n*\n", "", "line 2, column 1: an asterisk at the end: nothing says how often the line before it is repeated (read as xxd)", ""},
		{"asterisk for a lot", "00000000: 0000  ..\n*\nffffffff: 00  .", "", "line 3, column 1: an asterisk stands for 4294967293 bytes, more than 16777216 (read as xxd)", ""},
		{"decimal", "16, 12, 256, 4", "decimal", `line 1, column 9: "256" is not a byte: a number from 0 to 255 (read as decimal)`, ""},
		{"array", "{16, 12, 300}", "", `line 1, column 10: "300" is not a byte: a number from 0 to 255 (read as array)`, ""},
		{"array without an end", "{0x10, 0x0c,", "", "line 1, column 13: no closing bracket (read as array)", ""},
		{"escape", `"\x10\q"`, "", `line 1, column 7: \q is no escape (read as c)`, `write \\`},
		{"escape without digits", `"\x10\xg0"`, "", `line 1, column 8: no hexadecimal digits behind \x (read as c)`, "write two digits"},
		{"string without an end", `b'\x10\x0c`, "", "line 1, column 2: no closing ' on the line (read as python)", ""},
		{"Base64", "EAwABE1R!FQ=", "base64", "line 1, column 9: '!' is not in the alphabet of Base64 (read as base64)", ""},
		{"Node.js", "<Buffer 10 0c ... 12 more bytes>", "", "line 1, column 14: bytes were left out: ... 12 more bytes (read as buffer)", "toString('hex')"},
		{"no such form", "c000", "hexx", `no form "hexx"`, "forms are binary, "},
		{"nothing", " \n\n", "", "there is nothing to read", ""},
		{"nothing at all", "", "", "there is nothing to read", ""},
		{"prose", "What a lovely day, is it not?", "", "line 1, column 1: of no known form", "--in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Paste([]byte(tt.text), tt.form)
			var p *PasteError
			if !errors.As(err, &p) {
				t.Fatalf("error %v", err)
			}
			if !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("%v (hint %q)\nwant %s (hint %q)", err, p.Hint, tt.want, tt.hint)
			}
		})
	}
}
