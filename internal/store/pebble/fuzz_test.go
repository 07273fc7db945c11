package pebble

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// samples has a value of each kind, with everything set and with nothing.
func samples() [][]byte {
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	m := &message.Message{
		Topic: "a/b", Payload: []byte("21.5"), Properties: []byte{1, 1}, QoS: 2, Retain: true,
		Published: when, Expires: when.Add(time.Hour), Publisher: "p", Owner: "o",
	}
	q := store.Queued{Message: m, QoS: 1, Retain: true, SubscriptionIDs: []uint32{1, 268435455}, Share: "g/a/#"}
	var all [][]byte
	for _, r := range []store.Record{
		store.Session{ClientID: "c", Owner: "o", Expiry: store.Never, Ended: when, First: 200, Sent: 300},
		store.Session{},
		store.Subscription{QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 7},
		store.Subscription{},
		q,
		store.Queued{Message: &message.Message{}},
		store.Released{},
		store.Received{},
		store.Kept{Data: []byte("abc")},
		store.Kept{},
		store.Retained{Message: m},
		store.Will{Message: m, Delay: time.Minute, Due: when, ExpiryInterval: time.Second},
		store.Will{Message: &message.Message{}},
	} {
		all = append(all, appendRecord(nil, r, 0))
	}
	return append(all, appendRecord(nil, q, 77))
}

// FuzzDecode gives every decoder anything. What it takes, it must encode again
// to something that decodes the same.
func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		again := func(r store.Record, err error, decode func([]byte) (store.Record, error)) {
			if err != nil {
				return
			}
			got, err := decode(appendRecord(nil, r, 0))
			if err != nil || !cmp.Equal(r, got) {
				t.Errorf("%x: %v\n%s", value, err, cmp.Diff(r, got))
			}
		}
		for _, decode := range []func([]byte) (store.Record, error){
			func(b []byte) (store.Record, error) { return decodeSession(b) },
			func(b []byte) (store.Record, error) { return decodeSubscription("c", "f", b) },
			func(b []byte) (store.Record, error) { return decodeWill("c", b) },
			func(b []byte) (store.Record, error) { return decodeKept("c", "k", b) },
			func(b []byte) (store.Record, error) {
				m, err := decodeMessage(b)
				return store.Retained{Message: m}, err
			},
			func(b []byte) (store.Record, error) {
				e, err := decodeEntry(b)
				if err != nil || e.kind == entryReleased {
					return store.Released{}, errCut
				}
				return e.queued("c", 1, []byte{version, 0, 0, 0, 0, 0})
			},
		} {
			r, err := decode(value)
			again(r, err, decode)
		}
	})
}
