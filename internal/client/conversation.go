package client

import "github.com/iotctl/iotctl/internal/codec/mqtt"

// conversation is the library's half of one link: CONNECT and CONNACK,
// authentication, keep alive.
type conversation interface {
	// connect sends CONNECT and returns when CONNACK has come or the link has
	// ended. Called once, first.
	connect(w wire) error
	// wait returns when the library's goroutines have ended, which they do once
	// the wire has failed.
	wait()
}

// newConversation prepares CONNECT for one link.
func (c *Client) newConversation(clean bool) conversation {
	c.mu.Lock()
	id := c.clientID
	c.mu.Unlock()
	if c.o.Version == mqtt.V5 {
		return newPaho5(c, id, clean)
	}
	return newPaho3(c, id, clean)
}
