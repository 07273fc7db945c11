package broker

import (
	"context"

	"github.com/iotctl/iotctl/internal/message"
)

// Publish routes a message that no client has sent: one of a program that works
// with the server, called publisher. Nobody's rights are asked for, but topics
// that are the broker's own stay so. On return it has been stored where it must
// be. Errors: ErrNotAuthorized, ErrQuota, ErrFull, ErrEnded, or the store's. v
// may be used again afterwards.
func (b *Broker) Publish(ctx context.Context, v message.View, publisher string) (matched int, err error) {
	if b.closing.Load() {
		return 0, ErrEnded
	}
	if isReserved(string(v.Topic)) {
		return 0, ErrNotAuthorized
	}
	bt := new(batch)
	if err := b.checkRoom(v, bt); err != nil {
		return 0, err
	}
	b.stats.PublishReceived.Add(1)
	b.stats.PublishBytesReceived.Add(uint64(len(v.Payload)))
	m := v.Copy(string(v.Topic), bt.begin(), publisher, "")
	if m.Retain {
		if err := b.retain(m, bt); err != nil {
			return 0, err
		}
	}
	matched = b.route(m, nil, bt)
	_, err = b.commit(ctx, bt, nil)
	return matched, err
}
