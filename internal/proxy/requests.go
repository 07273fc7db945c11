package proxy

import (
	"errors"
	"fmt"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// maxRequests bounds the SUBSCRIBE and UNSUBSCRIBE packets that Requests knows of.
const maxRequests = 1024

// Requests puts the answers to a SUBSCRIBE or UNSUBSCRIBE together of which a stage
// has refused some filters itself. The zero value is ready.
type Requests struct {
	mu   sync.Mutex
	open map[uint16][]mqtt.ReasonCode
}

// Add remembers why filters of a request were not sent on; Success is for those that
// were. A request of which all were need not be added.
func (r *Requests) Add(id uint16, codes []mqtt.ReasonCode) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) >= maxRequests {
		return &End{
			Why: "requests", Err: fmt.Errorf("more than %d SUBSCRIBE and UNSUBSCRIBE packets without an answer", maxRequests),
			Client: mqtt.QuotaExceeded,
		}
	}
	if r.open == nil {
		r.open = make(map[uint16][]mqtt.ReasonCode)
	}
	r.open[id] = codes
	return nil
}

// errCodes is about an answer that does not fit its question.
var errCodes = errors.New("another number of codes than there were filters")

// Merge returns what the client is to be told if the broker answers a request with
// codes. changed is false if that is the broker's answer itself. Without codes, as
// before 5.0 in UNSUBACK, those that were sent on have succeeded.
func (r *Requests) Merge(id uint16, codes []mqtt.ReasonCode) (all []mqtt.ReasonCode, changed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, changed = r.open[id]
	if !changed {
		return codes, false, nil
	}
	delete(r.open, id)
	given := codes != nil
	for i, c := range all {
		if c != mqtt.Success || !given {
			continue
		}
		if len(codes) == 0 {
			return nil, true, Broken(ToClient, errCodes)
		}
		all[i], codes = codes[0], codes[1:]
	}
	if len(codes) > 0 {
		return nil, true, Broken(ToClient, errCodes)
	}
	return all, true, nil
}
