package capture

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// connect is a CONNECT of MQTT 3.1.1, the bytes of most examples.
var connect = unhex("100c00044d5154540402003c0000")

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// TestPastedForms reads one packet in every form that people have it in.
func TestPastedForms(t *testing.T) {
	h := "100c00044d5154540402003c0000"
	for _, tt := range []struct{ name, text, form string }{
		{"plain", h, "hex"},
		{"capitals", strings.ToUpper(h), "hex"},
		{"prefixed whole", "0x" + h, "0x"},
		{"spaced", "10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00", "hex"},
		{"tabs and blanks around", "\t10 0c\t00 04 4d 51 54 54 04 02 00 3c 00 00  \n", "hex"},
		{"colons", "10:0c:00:04:4d:51:54:54:04:02:00:3c:00:00", "hex"},
		{"dashes", "10-0C-00-04-4D-51-54-54-04-02-00-3C-00-00", "hex"},
		{"commas", "10,0c,00,04,4d,51,54,54,04,02,00,3c,00,00", "hex"},
		{"groups", "100c 0004 4d51 5454 0402 003c 0000", "hex"},
		{"quoted", `"` + h + `"`, "hex"},
		{"SQL", "X'" + h + "'", "hex"},
		{"fenced", "```\n" + h + "\n```\n", "hex"},
		{"no-break blanks", "10\u00a00c\u00a000 04 4d 51 54 54 04 02 00 3c 00 00", "hex"},
		{"0x list", "0x10 0x0c 0x00 0x04 0x4d 0x51 0x54 0x54 0x04 0x02 0x00 0x3c 0x00 0x00", "0x"},
		{"0x commas", "0x10,0xc,0x0,0x4,0x4d,0x51,0x54,0x54,0x4,0x2,0x0,0x3c,0x0,0x0", "0x"},
		{"decimal", "16, 12, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, 0", "decimal"},
		{"C array", "static const unsigned char pkt[14] = {\n  0x10, 0x0c, 0x00, 0x04, /* len */\n  'M', 'Q', 'T', 'T', 4, 2, // flags 0x02\n 0x00, 0x3c, 0x00, 0x00,\n};\nunsigned int pkt_len = 14;\n", "array"},
		{"Wireshark C array", "/* Frame (14 bytes) */\nstatic const unsigned char pkt1[14] = {\n0x10, 0x0c, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, /* ..{.MQTT */\n0x04, 0x02, 0x00, 0x3c, 0x00, 0x00              /* ...<.. */\n};\n", "array"},
		{"Java", "{16, 12, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, 0}", "array"},
		{"Rust", "let p = vec![0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 0];", "array"},
		{"JavaScript", "Uint8Array(14) [\n  16, 12, 0, 4, 77, 81,\n  84, 84, 4, 2, 0, 60, 0, 0\n]", "array"},
		{"Node.js", "<Buffer 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00>", "buffer"},
		{"JSON of Node.js", `{"type":"Buffer","data":[16,12,0,4,77,81,84,84,4,2,0,60,0,0]}`, "array"},
		{"Go array", "[]byte{0x10, 0xc, 0x0, 0x4, 'M', 0x51, 0x54, 0x54, 0x4, 0x2, 0x0, 0x3c, 0x0, 0x0}", "go"},
		{"Go array of a size", "[14]byte{0x10, 0xc, 0x0, 0x4, 'M', 0x51, 0x54, 0x54, 0x4, 0x2, 0x0, 0x3c, 0x0, 0x0}", "go"},
		{"Go string", `[]byte("\x10\f\x00\x04MQTT\x04\x02\x00<\x00\x00")`, "go"},
		{"Go quoted", fmt.Sprintf("%q", connect), "c"},
		{"Go printed", fmt.Sprint(connect), "array"},
		{"Go syntax", fmt.Sprintf("%#v", connect), "go"},
		{"iOS", "<100c0004 4d515454 0402003c 0000>", "hex"},
		{"in brackets", "[10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00]", "hex"},
		{"Python", `b'\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00'`, "python"},
		{"Python assigned", `packet = b"\x10\x0c\x00\x04" b"MQTT\x04\x02\x00<\x00\x00"  # CONNECT`, "python"},
		{"Python array", "bytes([16, 12, 0, 4, 0x4d, 81, 84, 84, 4, 2, 0, 60, 0, 0])", "array"},
		{"Python bytearray", `bytearray(b'\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00')`, "python"},
		{"C string", "\"\\x10\\x0c\\x00\\x04MQTT\"\n\"\\x04\\x02\\0<\\0\\0\";", "c"},
		{"Wireshark escaped", "\"\\x10\\x0c\\x00\\x04\\x4d\\x51\\x54\\x54\" \\\n\"\\x04\\x02\\x00\\x3c\\x00\\x00\"", "c"},
		{"typographic quotes", "\u201c\\x10\\x0c\\x00\\x04MQTT\\x04\\x02\\x00<\\x00\\x00\u201d", "c"},
		{"bare escapes", `\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00`, "escapes"},
		{"octal escapes", `\020\014\000\004MQTT\004\002\000<\000\000`, "escapes"},
		{"shell", `printf '\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00' | nc localhost 1883`, "escapes"},
		{"Base64", base64.StdEncoding.EncodeToString(connect), "base64"},
		{"Base64 without padding", base64.RawStdEncoding.EncodeToString(connect), "base64"},
		{"data URL", "data:application/octet-stream;base64," + base64.StdEncoding.EncodeToString(connect), "base64"},
		{"log", "2026-11-21 12:00:01.123 DEBUG rx 14 bytes: 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00 from 10.0.0.7", "log"},
		{"log, solid", "Nov 21 12:00:01 gw[77]: sent 0x" + h + " ok", "log"},
		{"log, 0x", "rx=0x10 0x0c 0x00 0x04 0x4d 0x51 0x54 0x54 0x04 0x02 0x00 0x3c 0x00 0x00;", "log"},
		{"a log of two columns", "I (1234) mqtt: 0x3ffb1234   10 0c 00 04 4d 51 54 54  04 02 00 3c 00 00  |....MQTT...<..|", "log"},
		{"a dump without offsets", "<dbg> net_mqtt: data\n   10 0c 00 04 4d 51 54 54  04 02 00 3c 00 00        |....MQTT...<..  |", "log"},
		{"binary", string(connect), "binary"},
		{"xxd", "00000000: 100c 0004 4d51 5454 0402 003c 0000       ....MQTT...<..\n", "xxd"},
		{"xxd of single bytes", "00000000: 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00        ....MQTT...<..", "xxd"},
		{"xxd in colours", "00000000: \x1b[1;31m10\x1b[0m0c 0004 4d51 5454 0402 003c 0000       ....MQTT...<..\n", "xxd"},
		{"hexdump -C", "00000000  10 0c 00 04 4d 51 54 54  04 02 00 3c 00 00        |....MQTT...<..|\n0000000e\n", "hexdump-C"},
		{"hexdump", "0000000 0c10 0400 514d 5454 0204 3c00 0000     \n000000e\n", "hexdump"},
		{"od -tx1", "0000000 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00\n0000016\n", "od"},
		{"od -tx1z", "0000000 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00        >....MQTT...<..<\n0000016\n", "od"},
		{"od -Ax -tx1", "000000 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00\n00000e\n", "od"},
		{"od -An -tx1", " 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00", "hex"},
		{"od", "0000000 006020 002000 050515 052124 001004 036000 000000\n0000016\n", "od"},
		{"od -Ad -tx1", "0000000 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00\n0000014\n", "od"},
		{"Wireshark hex dump", "0000   10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00", "wireshark"},
		{"Wireshark hex and text dump", "0000   10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00         ....MQTT...<..", "wireshark"},
		{"tshark -x", "0000  10 0c 00 04 4d 51 54 54  04 02 00 3c 00 00         ....MQTT...<..\n\n", "wireshark"},
		{"PowerShell", "           00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F\n\n00000000   10 0C 00 04 4D 51 54 54 04 02 00 3C 00 00        ....MQTT...<..\n", "od"},
		{"UTF-16", "\xff\xfe1\x000\x00 \x000\x00c\x00 \x00" + strings.Join(strings.SplitAfter("00044d5154540402003c0000", ""), "\x00") + "\x00", "hex"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Paste([]byte(tt.text), "")
			if err != nil {
				t.Fatal(err)
			}
			if got.Form != tt.form || len(got.Packets) != 1 || !bytes.Equal(got.Packets[0], connect) {
				t.Errorf("read as %s (%s): %x\nwant %s: %x", got.Form, got.Why, got.Packets, tt.form, connect)
			}
			if got.Why == "" || got.Framed {
				t.Errorf("why %q, framed %v", got.Why, got.Framed)
			}
			if forced, err := Paste([]byte(tt.text), tt.form); err != nil || !slices.EqualFunc(forced.Packets, got.Packets, bytes.Equal) {
				t.Errorf("forced: %x, %v", forced.Packets, err)
			}
		})
	}
}

// tool runs a program with b on its standard input. Without the program the test is
// skipped; .ci/tools installs none of them but openssl.
func tool(t *testing.T, b []byte, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if name == "openssl" && os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestToolsOutput reads what the tools print of every byte value, of text that looks like
// digits, of repeated lines, and of all lengths.
func TestToolsOutput(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	digits := []byte(strings.Repeat("ab 12 cd 0000 1234 |> ", 6))
	samples := [][]byte{
		connect, every, digits, slices.Concat(connect, make([]byte, 100), connect),
		slices.Concat(make([]byte, 512), every, make([]byte, 64)), []byte("a"), []byte("ab 12  cd"),
	}
	for n := 1; n <= 40; n++ {
		samples = append(samples, digits[:n], every[60:60+n], bytes.Repeat([]byte{0xff}, n))
	}
	for _, tt := range []struct{ form, command string }{
		{"xxd", "xxd"},
		{"xxd", "xxd -u"},
		{"xxd", "xxd -a"},
		{"xxd", "xxd -g1"},
		{"xxd", "xxd -g4"},
		{"xxd", "xxd -g8"},
		{"xxd", "xxd -c8 -g1"},
		{"xxd", "xxd -c 20"},
		{"xxd", "xxd -b"},
		{"0x", "xxd -i"},
		{"hexdump-C", "hexdump -C"},
		{"hexdump-C", "hexdump -Cv"},
		{"hexdump", "hexdump"},
		{"hexdump", "hexdump -v"},
		{"hexdump", "hexdump -x"},
		{"hexdump", "hexdump -b"},
		{"hexdump", "hexdump -d"},
		{"hexdump", "hexdump -o"},
		{"od", "od"},
		{"od", "od -v"},
		{"od", "od -tx1"},
		{"od", "od -tx1z"},
		{"od", "od -tx1 -Ax"},
		{"od", "od -tx1z -Ax -v"},
		{"od", "od -tx1 -Ad"},
		{"od", "od -tx2"},
		{"od", "od -x"},
		{"od", "od -tx4"},
		{"od", "od -tx8 -w16"},
		{"od", "od -b"},
		{"od-c", "od -c"},
		{"od-c", "hexdump -c"},
		{"od", "od -tu1"},
		{"od", "od -td1"},
		{"od", "od -tu1 -Ax"},
		{"od", "od -d"},
		{"od", "od -tx1 -w8"},
		{"base64", "base64"},
		{"base64", "base64 -w0"},
		{"hex", "xxd -p"},
		{"hex", "od -An -tx1 -w64 -v"},
	} {
		t.Run(tt.command, func(t *testing.T) {
			for _, want := range samples {
				if tt.form == "hex" {
					want = want[:min(len(want), 64)]
				}
				args := strings.Fields(tt.command)
				if tt.form == "od-c" && len(want) < 250 && !bytes.Equal(want, connect) {
					continue // nor blanks and digits from numbers
				}
				if option := args[len(args)-1]; (option == "-tu1" || option == "-td1" || option == "-d" || slices.Contains(args, "-tu1")) && len(want) < 250 {
					continue // in a short one, nothing tells decimal numbers from others
				}
				out := tool(t, want, args[0], args[1:]...)
				got, err := Paste([]byte(out), tt.form)
				if err != nil || len(got.Packets) != 1 || !bytes.Equal(got.Packets[0], want) {
					t.Errorf("%x\n%sforced: %x, %v", want, out, got.Packets, err)
				}
				got, err = Paste([]byte(out), "")
				if err == nil && got.Form != tt.form && len(got.Notes) > 0 && strings.Contains(got.Notes[0], "--in "+tt.form) {
					continue // od and hexdump differ only in the base of offsets
				}
				if err != nil || len(got.Packets) != 1 || !bytes.Equal(got.Packets[0], want) {
					t.Errorf("%x\n%sdetected as %s: %x, %v", want, out, got.Form, got.Packets, err)
				}
			}
		})
	}
}

// TestRoundTrips reads packets of all kinds of bytes in forms that Go prints.
func TestRoundTrips(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	forms := map[string]func(b []byte) string{
		"plain":    hex.EncodeToString,
		"spaced":   func(b []byte) string { return fmt.Sprintf("% x", b) },
		"capitals": func(b []byte) string { return fmt.Sprintf("% X", b) },
		"colons":   func(b []byte) string { return strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":") },
		"0x":       func(b []byte) string { return fmt.Sprintf("% #x", b) },
		"whole 0x": func(b []byte) string { return fmt.Sprintf("%#x", b) },
		"pairs": func(b []byte) string {
			var groups []string
			for c := range slices.Chunk(b, 2) {
				groups = append(groups, hex.EncodeToString(c))
			}
			return strings.Join(groups, " ")
		},
		"Go string":  func(b []byte) string { return fmt.Sprintf("[]byte(%q)", b) },
		"Go slice":   func(b []byte) string { return fmt.Sprintf("%#v", b) },
		"C array":    func(b []byte) string { return "{" + strings.ReplaceAll(fmt.Sprintf("% #x", b), " ", ", ") + "}" },
		"C string":   func(b []byte) string { return `"` + strings.ReplaceAll(fmt.Sprintf(" % x", b), " ", `\x`) + `"` },
		"escapes":    func(b []byte) string { return strings.ReplaceAll(fmt.Sprintf(" % x", b), " ", `\x`) },
		"Python":     func(b []byte) string { return "b'" + strings.ReplaceAll(fmt.Sprintf(" % x", b), " ", `\x`) + "'" },
		"hexdump -C": hex.Dump,
		"Base64":     base64.StdEncoding.EncodeToString,
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			for round := range 500 {
				b := make([]byte, 2+rnd.IntN(60))
				for i := range b {
					b[i] = byte(rnd.IntN(256))
					if round%3 == 0 {
						b[i] = " 0123456789abcdef|\\\"'"[rnd.IntN(21)]
					} else if round%3 == 1 {
						b[i] &= byte(1<<rnd.IntN(8) - 1)
					}
				}
				text := form(b)
				got, err := Paste([]byte(text), "")
				if name == "Base64" && got.Form == "hex" && strings.Contains(got.Why, "not taken for Base64") {
					continue
				}
				if err != nil || len(got.Packets) != 1 || !bytes.Equal(got.Packets[0], b) {
					t.Fatalf("%q\nread as %s: %x, %v\nwant %x", text, got.Form, got.Packets, err, b)
				}
			}
		})
	}
}
