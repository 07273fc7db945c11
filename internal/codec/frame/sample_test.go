package frame

import (
	"bytes"
	"testing"
)

// Samples of every definition make frames of many devices, each with a name of
// its own and right in every other respect.
func TestSamplesOfManyDevices(t *testing.T) {
	for _, name := range Builtin() {
		t.Run(name, func(t *testing.T) {
			c, err := Open(name)
			if err != nil {
				t.Fatal(err)
			}
			samples := c.Samples()
			if len(samples) == 0 {
				t.Fatal("no samples")
			}
			for i := range samples {
				s := &samples[i]
				seen := map[string]bool{}
				for n := range uint64(2000) {
					b, err := s.Append(nil, n+1)
					if err != nil {
						t.Fatal(err)
					}
					split := c.Splitter(Up)
					split.later = s.Later
					f, used, err := split.Next(b)
					if err != nil {
						f, used, err = split.Gap(b) // by silence alone
					}
					var r Record
					if err != nil || used != len(b) || f.BadChecksum {
						t.Fatalf("%s of device %d, % x: %d bytes, %v", s.Message, n, b, used, err)
					}
					if err := c.Decode(f, Up, &r); err != nil || r.Message != s.Message {
						t.Fatalf("%s of device %d, % x: %s, %v", s.Message, n, b, r.Message, err)
					}
					if id := string(r.DeviceID()); s.Identifies && (id == "" || seen[id]) {
						t.Fatalf("%s of device %d is %q again", s.Message, n, id)
					} else {
						seen[id] = true
					}
				}
			}
		})
	}
}

// A sample that is made for the device it is of is the frame of its vector.
func TestSampleIsItsVector(t *testing.T) {
	c, err := Open("gt06")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Samples()[0]
	b, err := s.Append(nil, 123456789012345)
	if want := c.vectors[0].input; err != nil || !bytes.Equal(b, want) || !s.Login {
		t.Errorf("% x, %v, want % x", b, err, want)
	}
	if _, err := s.Append(nil, 1e17); err == nil {
		t.Error("18 digits fit into 16")
	}
}
