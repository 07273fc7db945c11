package capture

import (
	"bytes"
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
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

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
	gaps  []int // bytes missing
	gapAt []int // and how many came before
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
			s.gaps, s.gapAt = append(s.gaps, c.Gap), append(s.gapAt, len(s.bytes))
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
	files, err := filepath.Glob(filepath.Join(dissecttest.Captures(t), "*.streams.json"))
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

// TestLostSegments leaves one frame after another out of a recording: the bytes before
// the gap come first, then the gap with its length, then the rest.
func TestLostSegments(t *testing.T) {
	path := filepath.Join(dissecttest.Captures(t), "rec-tcp-v311-burst.pcapng")
	whole := collect(t, openFile(t, path))
	var all []frame
	r := openFile(t, path)
	for {
		var f frame
		if err := r.frames.next(&f); err != nil {
			break
		}
		f.data = slices.Clone(f.data)
		all = append(all, f)
	}
	gaps := 0
	for lost := range all {
		rest := slices.Concat(all[:lost], all[lost+1:])
		got := collect(t, newReader(&someFrames{rest}, Options{}))
		for _, w := range whole {
			i := slices.IndexFunc(got, func(s *stream) bool { return s.dir == w.dir })
			if i < 0 {
				t.Fatalf("without frame %d: a direction is missing", lost+1)
			}
			s := got[i]
			missing := len(w.bytes) - len(s.bytes)
			if missing == 0 {
				continue
			}
			gaps++
			if !slices.Equal(s.gaps, []int{missing}) {
				t.Fatalf("without frame %d: gaps %v, %d bytes missing", lost+1, s.gaps, missing)
			}
			if at := s.gapAt[0]; !bytes.Equal(s.bytes, slices.Concat(w.bytes[:at], w.bytes[at+missing:])) {
				t.Errorf("without frame %d: not what was sent but for the gap", lost+1)
			}
		}
	}
	if gaps < 10 {
		t.Errorf("%d gaps", gaps)
	}
}

// someFrames are frames that are in memory.
type someFrames struct{ rest []frame }

func (s *someFrames) next(f *frame) error {
	if len(s.rest) == 0 {
		return io.EOF
	}
	*f, s.rest = s.rest[0], s.rest[1:]
	return nil
}

func (s *someFrames) describe() string { return "some frames" }
