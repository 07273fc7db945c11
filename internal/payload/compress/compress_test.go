package compress_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/compress"
	"github.com/iotctl/iotctl/internal/payload/payloadtest"
)

func kinds() map[string]payload.Format {
	return map[string]payload.Format{
		"gzip": compress.Gzip(), "deflate": compress.Deflate(), "deflate:raw": compress.Deflate(),
		"zstd": compress.Zstd(), "brotli": compress.Brotli(),
	}
}

func codec(t testing.TB, name string) payload.Codec {
	t.Helper()
	_, arg, _ := strings.Cut(name, ":")
	c, err := kinds()[name].New(arg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pack(t testing.TB, name string, b []byte) []byte {
	t.Helper()
	c := payload.Content{Bytes: b}
	if err := codec(t, name).Encode(&c); err != nil {
		t.Fatal(err)
	}
	return c.Bytes
}

func TestFormats(t *testing.T) {
	for name, f := range kinds() {
		t.Run(name, func(t *testing.T) {
			_, arg, _ := strings.Cut(name, ":")
			payloadtest.Run(t, f, arg,
				payloadtest.Sample{Payload: pack(t, name, []byte(`{"temperature":21.5}`))},
				payloadtest.Sample{Payload: pack(t, name, bytes.Repeat([]byte("sensor "), 50))},
				payloadtest.Sample{Payload: pack(t, name, nil)})
		})
	}
}

// What the usual programs write.
func TestKnownPayloads(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"gzip", "1f8b08000000000002034b4c4a0600c241243503000000", "abc"},
		{"gzip", "1f8b08000000000002034b4c4a0600c241243503000000 1f8b08000000000002034b4c4a0600c241243503000000", "abcabc"},
		{"deflate", "789c4b4c4a0600024d0127", "abc"},
		{"deflate", "4b4c4a0600", "abc"},
		{"deflate:raw", "4b4c4a0600", "abc"},
		{"zstd", "28b52ffd2003190000616263", "abc"},
		{"zstd", "502a4d180100000078 28b52ffd2003190000616263 28b52ffd2003190000616263", "abcabc"},
		{"brotli", "0b018061626303", "abc"},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(tt.in, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		c := payload.Content{Bytes: b}
		err = codec(t, tt.name).Decode(&c)
		if err != nil || string(c.Bytes) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, c.Bytes, err, tt.want)
		}
	}
}

func TestCutAnywhereIsMalformed(t *testing.T) {
	for name := range kinds() {
		full := pack(t, name, bytes.Repeat([]byte("sensor "), 50))
		c := codec(t, name)
		for n := 1; n < len(full); n++ {
			if err := c.Decode(&payload.Content{Bytes: full[:n]}); err == nil {
				t.Errorf("%s: %d of %d bytes are read as if they were all", name, n, len(full))
			}
		}
		if err := c.Decode(&payload.Content{Bytes: append(bytes.Clone(full), "x!"...)}); err == nil {
			t.Errorf("%s: two bytes behind the end have been overlooked", name)
		}
	}
}

func TestWhatComesOutIsBounded(t *testing.T) {
	most := make([]byte, payload.MaxBytes)
	for name := range kinds() {
		fits := payload.Content{Bytes: pack(t, name, most)}
		if err := codec(t, name).Decode(&fits); err != nil || len(fits.Bytes) != payload.MaxBytes {
			t.Errorf("%s: %v", name, err)
		}
		over := payload.Content{Bytes: pack(t, name, append(most, 0))}
		if err := codec(t, name).Decode(&over); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes come out") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestZstandardDoesNotBelieveWhatAHeaderClaims(t *testing.T) {
	b, _ := hex.DecodeString("28b52ffda0000000033900006162636465666731")
	err := codec(t, "zstd").Decode(&payload.Content{Bytes: b})
	if err == nil || err.Error() != "byte 5: 50331648 bytes are to come out of blocks that hold 131072 at most" {
		t.Error(err)
	}
}

func FuzzGzip(f *testing.F)    { fuzz(f, "gzip") }
func FuzzDeflate(f *testing.F) { fuzz(f, "deflate") }
func FuzzZstd(f *testing.F)    { fuzz(f, "zstd") }
func FuzzBrotli(f *testing.F)  { fuzz(f, "brotli") }

func fuzz(f *testing.F, name string) {
	payloadtest.Fuzz(f, kinds()[name], "",
		payloadtest.Sample{Payload: pack(f, name, []byte(`{"temperature":21.5}`))},
		payloadtest.Sample{Payload: pack(f, name, bytes.Repeat([]byte("sensor "), 50))})
}
