package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// There is a line for every kind of record.
func TestEveryRecordCanBeDumped(t *testing.T) {
	m := &message.Message{Topic: "a", QoS: 1, Payload: []byte("x"), Published: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	const sampleJSON = `{"time":"2026-01-02T03:04:05Z","topic":"a","qos":1,"retain":false,"size":1,"encoding":"text","payload":"x"}`
	for _, tt := range []struct {
		r    store.Record
		want string
	}{
		{store.Session{ClientID: "c", Owner: "ann", Expiry: store.Never, Ended: m.Published, Sent: 3}, `{"type":"session","client":"c","owner":"ann","expiry":null,"ended":"2026-01-02T03:04:05Z","sent":3}`},
		{store.Session{ClientID: ""}, `{"type":"session","client":"","expiry":0}`},
		{
			store.Subscription{ClientID: "c", Filter: "$share/g/a", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 1, ID: 9},
			`{"type":"subscription","client":"c","filter":"$share/g/a","qos":2,"no-local":true,"retain-as-published":true,"retain-handling":1,"id":9}`,
		},
		{
			store.Queued{ClientID: "c", Seq: 4, Message: m, QoS: 1, SubscriptionIDs: []uint32{9}, Share: "g/a"},
			`{"type":"queued","client":"c","seq":4,"qos":1,"subscription-ids":[9],"share":"g/a","message":` + sampleJSON + `}`,
		},
		{store.Released{ClientID: "c", Seq: 5}, `{"type":"released","client":"c","seq":5}`},
		{store.Received{ClientID: "c", PacketID: 6}, `{"type":"received","client":"c","packet-id":6}`},
		{store.Kept{ClientID: "c", Key: "k", Data: []byte("abc")}, `{"type":"kept","client":"c","key":"k","data":"YWJj"}`},
		{store.Retained{Message: m}, `{"type":"retained","message":` + sampleJSON + `}`},
		{store.Will{ClientID: "c", Message: m, Delay: 1500 * time.Millisecond, Due: m.Published}, `{"type":"will","client":"c","delay":1.5,"due":"2026-01-02T03:04:05Z","message":` + sampleJSON + `}`},
		{store.Will{ClientID: "c", Message: m, ExpiryInterval: 2 * time.Second}, `{"type":"will","client":"c","expiry":2,"message":` + sampleJSON + `}`},
	} {
		got, err := dumpLine(tt.r)
		if diff := cmp.Diff(tt.want, string(got)); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	}
	if _, err := dumpLine(store.Backlog{}); err == nil {
		t.Error("a record that is never stored is dumped")
	}
}
