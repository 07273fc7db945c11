package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// allocated is how many bytes f allocates, of which those that the runtime allocates
// meanwhile are a part.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// seeds adds the captures, where they are.
func seeds(f *testing.F) {
	dir := os.Getenv("IOTCTL_CAPTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "captures")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.pcap*"))
	for _, path := range files {
		if b, err := os.ReadFile(path); err == nil && len(b) < 10_000 && !strings.HasSuffix(path, ".json") {
			f.Add(b)
		}
	}
}

// FuzzOpen reads damaged captures: no panic, the end is reached, and memory stays in
// proportion.
func FuzzOpen(f *testing.F) {
	seeds(f)
	f.Add(segments(append(handshake(100), fromClient(105, "fg"), fromClient(100, "ab").with(flagFIN))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		plain := !bytes.HasPrefix(b, []byte{0x1f, 0x8b})
		chunks := 0
		n := allocated(func() {
			r, err := Open(bytes.NewReader(b), Options{MaxFlowBytes: 4096})
			for err == nil && (plain || chunks < 10_000) {
				var c Chunk
				c, err = r.Next()
				chunks++
				if err == nil && (c.Flow == nil || c.Flow.Number == 0 || c.Gap < 0 || c.Cut < 0 || len(c.Frames) == 0) {
					t.Errorf("chunk %+v", c)
				}
			}
			if r != nil {
				_, _ = r.Describe(), r.Notes()
			}
		})
		// A frame of 16 bytes more than its header may begin a flow.
		if limit := uint64(1<<20 + 64*len(b)); plain && n > limit {
			t.Errorf("%d bytes allocated for %d", n, len(b))
		}
		if plain && chunks > len(b)+10 {
			t.Errorf("%d chunks of %d bytes", chunks, len(b))
		}
	})
}

// FuzzPaste reads damaged text in every form: no panic, and memory in proportion, but for
// what asterisks stand for.
func FuzzPaste(f *testing.F) {
	for _, s := range []string{
		"100c00044d5154540402003c0000", "0x10, 0x0c,\n0x00", "16, 12, 0",
		"00000000: 100c 0004  ....\n*\n00000010: 00  .", "00000000  10 0c  |..|\n*\n00000020\n", "0000000 0c10 0400\n0000004\n",
		"0000000  16  12   0\n0000003\n", "0000   10 0c 00 04   ....", "\t0x0000:  4500 0028\n", `b'\x10\n' b"\0"`, `[]byte("\x10")`,
		"{0x10, /* x */ 'M', -1}", "<Buffer 10 0c>", `\x10\020\n`, "EAwABE1RVFQ=", "rx 2 bytes: c0 00", "\x10\x00", "\xff\xfe1\x000\x00",
		tcpdump(fromClient(1, "ab").ip(), true),
	} {
		for form := range append(Forms(), "") {
			f.Add([]byte(s), form)
		}
	}
	forms := append(Forms(), "")
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		form := forms[uint(n)%uint(len(forms))]
		var p Pasted
		var err error
		size := allocated(func() { p, err = Paste(b, form) })
		if limit := uint64(1<<20 + 3*maxExpanded + 4096*len(b)); size > limit {
			t.Errorf("%d bytes allocated for %d", size, len(b))
		}
		if err != nil {
			return
		}
		if p.Form == "" || p.Why == "" || len(p.Packets) == 0 {
			t.Errorf("%+v", p)
		}
		total := 0
		for _, packet := range p.Packets {
			total += len(packet)
		}
		if !bytes.Contains(b, []byte("*")) && !bytes.Contains(b, []byte{'*', 0}) && total > 4*len(b) {
			t.Errorf("%d bytes of %d", total, len(b))
		}
		if p.Framed {
			r := p.Reader(Options{})
			for err == nil {
				_, err = r.Next()
			}
		}
	})
}
