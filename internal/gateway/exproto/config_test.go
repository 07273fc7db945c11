package exproto_test

import (
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
)

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/empty", "\n")
	write(t, dir+"/gap.yaml", "codec: gap\nframing: {idle_gap: 50ms}\n")
	file := func(name string) exproto.File { return exproto.File(dir + "/" + name) }
	below := -time.Second
	type (
		C = exproto.Config
		H = exproto.HandlerConfig
		A = exproto.AdapterConfig
		L = exproto.ListenerConfig
	)
	for name, c := range map[string]struct {
		cfg  C
		want string // part of the problem; "" for none
	}{
		"nothing":               {C{}, ""},
		"EMQX's forms":          {C{Adapter: A{Address: "127.0.0.1:9100"}, Handler: H{Address: "http://localhost:9001/"}}, ""},
		"an open adapter":       {C{Adapter: A{Address: "http://0.0.0.0:9100"}}, "adapter: other machines could reach it"},
		"all addresses":         {C{Adapter: A{Address: "http://:9100"}}, "adapter: other machines could reach it"},
		"a name":                {C{Adapter: A{Address: "http://gateway.example:9100"}}, "adapter: other machines"},
		"open, and known to be": {C{Adapter: A{Address: "http://0.0.0.0:9100", AllowAnonymous: true}}, ""},
		"https without pair":    {C{Adapter: A{Address: "https://127.0.0.1:9100"}}, "adapter: tls.cert: no certificate file is named"},
		"http with a pair":      {C{Adapter: A{CertFile: "x"}}, "adapter.address: http has no TLS: write https"},
		"another scheme":        {C{Handler: H{Address: "mqtt://127.0.0.1:9001"}}, "handler.address"},
		"a path":                {C{Handler: H{Address: "http://127.0.0.1:9001/x"}}, "handler.address: http://127.0.0.1:9001/x has more than a host and a port"},
		"no host":               {C{Handler: H{Address: "http://:9001"}}, "handler.address"},
		"another service":       {C{Handler: H{Service: "Handler"}}, "handler.service"},
		"streams of unary":      {C{Handler: H{StreamPerEvent: true}}, "handler.stream_per_event"},
		"TLS of http":           {C{Handler: H{CAFile: "x"}}, "handler.address: http has no TLS"},
		"a negative time":       {C{Handler: H{Timeout: &below}}, "handler.timeout: it is negative"},
		"a token of nothing":    {C{Handler: H{TokenFile: file("empty")}}, "is empty"},
		"a token that is gone":  {C{Adapter: A{TokenFile: file("none")}}, "adapter.token_file"},
		"a negative batch":      {C{MaxBatch: -1}, "max_batch: it is negative"},
		"a listener's name":     {C{Listeners: []L{{}}}, "listeners[0].name: it is empty"},
		"two of one name":       {C{Listeners: []L{{Name: "a"}, {Name: "a"}}}, `listeners[1].name: "a" is there twice`},
		"a listener's handler":  {C{Listeners: []L{{Name: "a", Handler: H{Service: "x"}}}}, "listeners[0].handler.service"},
		"a wildcard":            {C{Mountpoint: "a/+/"}, "mountpoint"},
		"the broker's topics":   {C{Mountpoint: "$SYS/"}, "mountpoint: topics that begin with $"},
		"another placeholder":   {C{Mountpoint: "${host}/"}, "mountpoint: only ${clientid} and ${username}"},
		"an unknown codec":      {C{Framing: "nonsense"}, "framing: no codec"},
		"framing by silence":    {C{FramingFile: file("gap.yaml")}, "framing: frames of gap end by silence"},
		"two framings":          {C{Framing: "lines", FramingFile: "x.yaml"}, "framing: both"},
		"a file that is gone":   {C{FramingFile: file("none.yaml")}, "framing: open"},
	} {
		err := c.cfg.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
