package mqtt

import (
	"math"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
)

func TestExpirySecondsNeverWraps(t *testing.T) {
	for d, want := range map[time.Duration]uint32{
		0:                          0,
		time.Hour:                  3600,
		200 * 365 * 24 * time.Hour: math.MaxUint32 - 1, // more than the field can hold, but not for ever
		broker.Never:               math.MaxUint32,
	} {
		if got := expirySeconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
