package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/pebble"
)

func newStoreDump() *cobra.Command {
	var o storeOptions
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print everything in a store as JSON, a record per line",
		Long: `Prints every record as a JSON object in a line of its own: a session before what
belongs to it, queues in order. What does not apply is left out. The member type
says what else there is:

  session       client; owner: the identity it belongs to; expiry: seconds, or
                null for never; ended: when its last connection ended, missing
                while there is one; sent: the last place in its queue from which
                anything had been sent then
  subscription  client, filter, qos, no-local, retain-as-published,
                retain-handling, id
  queued        client; seq: the place in the queue; qos, retain: as the client
                will see them; subscription-ids; share: group and filter of the
                shared subscription it came by; message
  released      client, seq: a QoS 2 message whose PUBREC has come
  received      client, packet-id: a QoS 2 message whose PUBREL has not come
  kept          client; key, data: what the gateway of its protocol keeps, data in
                base64
  retained      message
  will          client; delay: seconds; due: when it is published, missing while
                its connection lives; expiry: seconds; message

A message has time, when it was published, topic, qos, retain, expires,
publisher, owner, properties, size, encoding and payload: text, the JSON value or
base64, as encoding says, like sub -o jsonl.

No broker may be using the directory: of a running one, take a backup and dump
that.`,
		Example: `  iotctl store dump > state.jsonl
  iotctl store dump --data /backups/monday | jq 'select(.type == "retained")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStoreDump(cmd.Context(), newTerminal(cmd), &o)
		},
	}
	o.flags(cmd)
	return cmd
}

func runStoreDump(ctx context.Context, t *terminal, o *storeOptions) error {
	dir, err := o.dir()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(t.out, 64<<10)
	err = pebble.Dump(ctx, dir, func(r store.Record) error {
		line, err := dumpLine(r)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	})
	return explainStore(dir, errors.Join(err, out.Flush()))
}

// dumped is a line of a dump. The members are those of all types, in the order
// in which they appear.
type dumped struct {
	Type              string          `json:"type"`
	Client            *string         `json:"client,omitempty"` // may be empty
	Owner             string          `json:"owner,omitempty"`
	Expiry            json.RawMessage `json:"expiry,omitempty"`
	Ended             *time.Time      `json:"ended,omitempty"`
	Sent              uint64          `json:"sent,omitempty"`
	Filter            string          `json:"filter,omitempty"`
	Seq               uint64          `json:"seq,omitempty"`
	PacketID          uint16          `json:"packet-id,omitempty"`
	QoS               *uint8          `json:"qos,omitempty"`
	Retain            bool            `json:"retain,omitempty"`
	NoLocal           bool            `json:"no-local,omitempty"`
	RetainAsPublished bool            `json:"retain-as-published,omitempty"`
	RetainHandling    uint8           `json:"retain-handling,omitempty"`
	ID                uint32          `json:"id,omitempty"`
	SubscriptionIDs   []uint32        `json:"subscription-ids,omitempty"`
	Share             string          `json:"share,omitempty"`
	Key               string          `json:"key,omitempty"`
	Data              []byte          `json:"data,omitempty"`
	Delay             float64         `json:"delay,omitempty"` // seconds
	Due               *time.Time      `json:"due,omitempty"`
	Message           json.RawMessage `json:"message,omitempty"`
}

// dumpLine is a record as JSON.
func dumpLine(r store.Record) ([]byte, error) {
	switch r := r.(type) {
	case store.Session:
		return json.Marshal(dumped{
			Type: "session", Client: &r.ClientID, Owner: r.Owner, Expiry: seconds(r.Expiry), Ended: moment(r.Ended), Sent: r.Sent,
		})
	case store.Subscription:
		return json.Marshal(dumped{
			Type: "subscription", Client: &r.ClientID, Filter: r.Filter, QoS: &r.QoS, NoLocal: r.NoLocal,
			RetainAsPublished: r.RetainAsPublished, RetainHandling: r.RetainHandling, ID: r.ID,
		})
	case store.Queued:
		return json.Marshal(dumped{
			Type: "queued", Client: &r.ClientID, Seq: r.Seq, QoS: &r.QoS, Retain: r.Retain,
			SubscriptionIDs: r.SubscriptionIDs, Share: r.Share, Message: stored(r.Message),
		})
	case store.Released:
		return json.Marshal(dumped{Type: "released", Client: &r.ClientID, Seq: r.Seq})
	case store.Received:
		return json.Marshal(dumped{Type: "received", Client: &r.ClientID, PacketID: r.PacketID})
	case store.Kept:
		return json.Marshal(dumped{Type: "kept", Client: &r.ClientID, Key: r.Key, Data: r.Data})
	case store.Retained:
		return json.Marshal(dumped{Type: "retained", Message: stored(r.Message)})
	case store.Will:
		d := dumped{Type: "will", Client: &r.ClientID, Delay: r.Delay.Seconds(), Due: moment(r.Due), Message: stored(r.Message)}
		if r.ExpiryInterval > 0 {
			d.Expiry = seconds(r.ExpiryInterval)
		}
		return json.Marshal(d)
	}
	return nil, fmt.Errorf("a record of type %T cannot be dumped", r)
}

func stored(m *message.Message) json.RawMessage { return format.AppendStored(nil, m) }

// seconds is d, or null for never.
func seconds(d time.Duration) json.RawMessage {
	if d == store.Never {
		return json.RawMessage("null")
	}
	b, _ := json.Marshal(d.Seconds()) // a finite number
	return b
}

// moment is t, or nothing for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
