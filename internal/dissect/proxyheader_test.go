package dissect_test

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

const proxySignature = "0d0a0d0a000d0a515549540a"

func TestProxyHeader(t *testing.T) {
	dissecttest.Run(t, dissect.ProxyHeader{}, []dissecttest.Sample{
		{Name: "v1", Bytes: []byte("PROXY TCP4 192.0.2.1 192.0.2.9 40000 1883\r\n")},
		{Name: "v1 IPv6", Bytes: []byte("PROXY TCP6 2001:db8::1 2001:db8::9 40000 1883\r\n")},
		{Name: "v1 unknown", Bytes: []byte("PROXY UNKNOWN\r\n")},
		{Name: "v2 local", Bytes: unhex(t, proxySignature+"20 00 0000")},
		{Name: "v2 IPv4", Bytes: unhex(t, proxySignature+"21 11 000c c0000201 c0000209 9c40 075b")},
		{Name: "v2 IPv6", Bytes: unhex(t, proxySignature+"21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000009 9c40 075b")},
		{Name: "v2 TLVs", Bytes: unhex(t, proxySignature+"21 11 002f c0000201 c0000209 9c40 075b 01 0004 6d717474 04 0000 e0 0001 ff 02 0012 62726f6b65722e6578616d706c652e636f6d")},
		{Name: "v2 Unix", Bytes: unhex(t, proxySignature+"21 31 00d8"+strings.Repeat("2f61"+strings.Repeat("00", 106), 2))},
	})
}

func TestProxyHeaderSays(t *testing.T) {
	tls := "20 0016 07 00000000 21 0007 544c5376312e33 22 0004 616e6e61"
	crc := "03 0004 00000000"
	for _, tt := range []struct{ name, hex, summary, problem string }{
		{"addresses", "21 11 000c c0000201 c0000209 9c40 075b", "192.0.2.1:40000 → 192.0.2.9:1883", ""},
		{"TLS", "21 11 0025 c0000201 c0000209 9c40 075b" + tls, `192.0.2.1:40000 → 192.0.2.9:1883, "TLSv1.3", "anna"`, ""},
		{"wrong checksum", "21 11 0013 c0000201 c0000209 9c40 075b" + crc, "192.0.2.1:40000 → 192.0.2.9:1883", "the checksum is wrong"},
		{"TLV too long", "21 11 000f c0000201 c0000209 9c40 075b 01 0004", "", "a TLV is longer than what is left"},
		{"too short for its addresses", "21 11 0004 c0000201", "", "the length is too short"},
		{"unknown command", "22 11 0000", "", "unknown version or command"},
		{"unknown family", "21 55 0000", "", "unknown address family"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _, err := dissecttest.Dissect(t, dissect.ProxyHeader{}, unhex(t, proxySignature+tt.hex), nil)
			text := ""
			if err != nil {
				text = err.Error()
			}
			for _, q := range p.Problems {
				text += q.Text
			}
			if !strings.Contains(text, tt.problem) || tt.problem == "" && text != "" {
				t.Errorf("problems %q, want %q", text, tt.problem)
			}
			if tt.summary != "" && p.Summary != tt.summary {
				t.Errorf("%q, want %q", p.Summary, tt.summary)
			}
		})
	}
	for _, bad := range []string{"PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP5\r\n", "PROXY " + strings.Repeat("x", 120)} {
		if _, _, err := dissecttest.Dissect(t, dissect.ProxyHeader{}, []byte(bad), nil); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}
