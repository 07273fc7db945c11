package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/client"
)

// clearer makes the broker forget retained messages. Waiting for it is not for
// the goroutine that reads the connection.
type clearer struct {
	wg     sync.WaitGroup
	mu     sync.Mutex
	queue  []string
	active bool
	failed []string
}

func (c *clearer) add(e *engine, topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, topic)
	if c.active {
		return
	}
	c.active = true
	c.wg.Go(func() { c.work(e) })
}

func (c *clearer) work(e *engine) {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.active = false
			c.mu.Unlock()
			return
		}
		topic := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		o, err := e.PublishWait(ctx, client.Message{Topic: topic, QoS: 1, Retain: true})
		cancel()
		if err == nil && o.Kind == client.Acknowledged {
			continue
		}
		if err == nil {
			err = o.Err
		}
		c.mu.Lock()
		c.failed = append(c.failed, fmt.Sprintf("%q (%s %v)", topic, o.Code, err))
		c.mu.Unlock()
	}
}

// wait returns when the broker has answered all of them.
func (c *clearer) wait() error {
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failed) == 0 {
		return nil
	}
	return fail(exitPublishRefused, fmt.Errorf("not removed: %s", strings.Join(c.failed, ", ")))
}
