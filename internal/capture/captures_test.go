package capture

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
)

// captures is where recordings are, which are not part of the repository.
func captures(t testing.TB) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "captures")
	if d := os.Getenv("IOTCTL_CAPTURES"); d != "" {
		dir = d
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no captures: %v", err)
	}
	return dir
}

type recordedSide struct {
	Bytes  int
	SHA256 string
}

type recordedStreams struct {
	Capture string
	Streams []struct {
		ClientToServer *recordedSide `json:"client_to_server"`
		ServerToClient *recordedSide `json:"server_to_client"`
	}
}

// stream is what one direction of a flow has carried.
type stream struct {
	flow  *Flow
	dir   dissect.Direction
	bytes []byte
	gaps  []int
	ended bool
}

// collect reads all of a capture.
func collect(t testing.TB, r *Reader) []*stream {
	t.Helper()
	var streams []*stream
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return streams
		}
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(streams, func(s *stream) bool { return s.flow == c.Flow && s.dir == c.Direction })
		if i < 0 {
			i = len(streams)
			streams = append(streams, &stream{flow: c.Flow, dir: c.Direction})
		}
		s := streams[i]
		if s.ended {
			t.Errorf("flow %d: bytes after the end", c.Flow.Number)
		}
		if c.Gap != 0 {
			s.gaps = append(s.gaps, c.Gap)
		}
		s.bytes = append(s.bytes, c.Bytes...)
		s.ended = c.End
	}
}

func openFile(t testing.TB, path string) *Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := Open(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStreamsOfCaptures compares every direction of every recorded TCP connection with
// the digest of what another program has put together.
func TestStreamsOfCaptures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures(t), "*.streams.json"))
	if err != nil || len(files) < 20 {
		t.Skipf("no captures: %d streams", len(files))
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".streams.json")
		if strings.Contains(name, "-tls") || strings.Contains(name, "-ws") {
			continue // another layer
		}
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want recordedStreams
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			got := collect(t, openFile(t, strings.TrimSuffix(path, ".streams.json")))
			var sides []recordedSide
			for _, s := range want.Streams {
				for _, d := range []*recordedSide{s.ClientToServer, s.ServerToClient} {
					if d != nil && d.Bytes > 0 {
						sides = append(sides, *d)
					}
				}
			}
			var have []recordedSide
			for _, s := range got {
				if len(s.bytes) > 0 {
					sum := sha256.Sum256(s.bytes)
					have = append(have, recordedSide{len(s.bytes), hex.EncodeToString(sum[:])})
				}
			}
			order := func(a, b recordedSide) int { return cmp.Compare(a.SHA256, b.SHA256) }
			slices.SortFunc(sides, order)
			slices.SortFunc(have, order)
			if !slices.Equal(sides, have) {
				t.Errorf("streams %v\nrecorded %v", have, sides)
			}
		})
	}
}
