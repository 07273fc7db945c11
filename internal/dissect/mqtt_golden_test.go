package dissect_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// TestMQTTGolden compares what is said of each packet in testdata/mqtt/*.txt with
// what follows it there. A file is a connection: lines of "client> hex", with the
// seconds that have gone by as "client+60> hex". A file whose name ends in a level,
// like joined-5, has no beginning.
func TestMQTTGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/mqtt/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files:", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { mqttGolden(t, file) })
	}
}

func mqttGolden(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	st := &dissect.Stream{Time: time.Unix(1e9, 0)}
	if _, level, ok := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".txt"), "-"); ok {
		n, _ := strconv.Atoi(level)
		st.Version, st.Joined = uint8(n), true
	}
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		from, input, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "> ")
		if !ok || strings.Contains(from, " ") {
			continue // of the answer
		}
		from, after, _ := strings.Cut(from, "+")
		seconds, _ := strconv.Atoi(after)
		st.Number++
		st.Time = st.Time.Add(time.Duration(seconds) * time.Second)
		st.Direction = map[string]dissect.Direction{"client": fromClient, "server": fromServer}[from]
		b := unhex(t, input)
		p, n, err := dissecttest.Dissect(t, dissect.MQTT{}, b, st)
		got.WriteString(line + dissecttest.Text(p))
		if err != nil {
			got.WriteString("error: " + err.Error() + "\n")
		}
		if n != len(b) {
			got.WriteString("consumed: " + hex.EncodeToString(b[:n]) + "\n")
		}
		got.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got; -update writes it):\n%s", diff)
	}
}
