package display

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/decode"
)

// hexColumn is where the bytes of a row stand.
var hexColumn = regexp.MustCompile(`(?m)^..[ ~!] *(\d+)  ((?:[0-9a-f]{2} ?)+)`)

// Every byte of every packet is shown, once, in order.
func TestEveryByteIsShown(t *testing.T) {
	files, err := filepath.Glob("../dissect/testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../dissect/testdata/*/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range append(files, more...) {
		as := strings.TrimSuffix(filepath.Base(name), ".txt")
		if dir := filepath.Base(filepath.Dir(name)); dir != "testdata" {
			as = dir
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, digits, ok := strings.Cut(strings.TrimSpace(line), "> ")
			if b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", "")); ok && err == nil && len(b) > 0 {
				for _, p := range readBytes(t, as, b) {
					seen++
					everyByte(t, name, p)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d packets", seen)
	}
}

func everyByte(t *testing.T, name string, p *decode.Packet) {
	t.Helper()
	shown := string(Annotated(nil, p, Style{Secrets: true}))
	if strings.Contains(shown, " more\n") {
		return
	}
	at := 0
	for _, m := range hexColumn.FindAllStringSubmatch(shown, -1) {
		row, err := hex.DecodeString(strings.ReplaceAll(m[2], " ", ""))
		off, err2 := strconv.Atoi(m[1])
		if err != nil || err2 != nil || off != at || at+len(row) > len(p.Bytes) || !bytes.Equal(row, p.Bytes[at:at+len(row)]) {
			t.Errorf("%s: at %d:\n%s", name, at, shown)
			return
		}
		at += len(row)
	}
	if at != len(p.Bytes) {
		t.Errorf("%s: %d of %d bytes:\n%s", name, at, len(p.Bytes), shown)
	}
}
