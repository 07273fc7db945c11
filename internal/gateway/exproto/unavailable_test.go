package exproto_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A handler that says so of something of its own is there, and hears of the end.
func TestAHandlerThatAnswersUnavailableIsThere(t *testing.T) {
	s := start(t, options{handler: &handler{do: func(_ *handler, e told) error {
		if e.what == "bytes" {
			return status.Error(codes.Unavailable, "the database is away")
		}
		return nil
	}}})
	d := s.device()
	d.send("x")
	d.closed()
	if e := s.h.wait(t, "closed", 1); e.reason != "handler_error" {
		t.Errorf("%v", e)
	}
	if s.log.count("has answered OnReceivedBytes with an error: Unavailable: the database is away") == 0 {
		t.Error(s.log.String())
	}
}
