package payload_test

import (
	"testing"

	"github.com/iotctl/iotctl/internal/payload"
)

func BenchmarkDecode(b *testing.B) {
	in := []byte(`{"device":"pump-17","temperature":21.5,"samples":[1,2,3,4,5,6,7,8],"ok":true}`)
	for _, pipeline := range []string{"json", "auto", "hex"} {
		b.Run(pipeline, func(b *testing.B) {
			r, err := payload.NewRules(formats(), []payload.Rule{{Filter: "plant/#", Pipeline: "text"}, {Pipeline: pipeline}})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.Decode("sensors/1", "", in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
