package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// exchanger sends requests to one website and returns its answers. There is one for
// HTTP/1.1 and one for HTTP/2.
type exchanger interface {
	// exchange sends a request and returns when the head of its final answer has
	// come. The caller closes the answer. When ctx ends, so does the exchange, and
	// with it the connection (over HTTP/2: the stream).
	exchange(ctx context.Context, r *request) (*reply, error)
	// close ends all idle connections; those under way end behind their answer.
	close()
}

// request is what the website is asked. Its fields are complete: an exchanger adds
// Host and what frames the body, and changes nothing.
type request struct {
	method string
	target string      // origin-form or "*", byte for byte (RFC 9112, section 3.2)
	host   string      // the value of Host
	fields wire.Fields // without Host, Content-Length, Transfer-Encoding, Trailer; Connection and Upgrade only for an upgrade, and Connection to name TE

	body   io.Reader // nil: none; with a method buffered() int, it may leave in one write with the head
	length int64     // of the body in bytes; -1: not known
	// trailer returns what follows a body, when it has been read to its end; nil:
	// nothing. announce are the names, for the field Trailer.
	trailer  func() wire.Fields
	announce []string
	// expect holds the body back until the website asks for it with a 100 or
	// answers.
	expect bool
	// upgrade is the protocol that Upgrade asks for, "" for none. An answer 101 is
	// returned only when it names this protocol.
	upgrade string
	// login is the client's connection when a request on it has signed in a connection
	// instead of itself (RFC 4559, section 6): this one and all later ones of the
	// client's connection get a connection to the website that no other client's
	// connection uses. nil for any other request.
	login *middleware.Connection

	asker asker
}

// asker is whose request it is.
type asker interface {
	// interim is called for each interim answer, 100 included, 101 not. Its error
	// ends the exchange.
	interim(status int, fields wire.Fields) error
}

// reply is the website's final answer. Reading it returns its body, and io.EOF
// where the standard says that it ends; any other error means that it was cut.
type reply struct {
	status int
	reason string
	fields wire.Fields // as they came, hop-by-hop fields included
	length int64       // of the body in bytes; 0: none; -1: not known before its end

	body replyBody
	conn net.Conn // of a 101: the website's connection, bytes that came early included; nil otherwise
}

// replyBody is the body of an answer.
type replyBody interface {
	io.Reader
	// ready reports whether a Read returns bytes, or the end, without waiting for the
	// website.
	ready() bool
	// cutter returns what ends the exchange from another goroutine, so that Read fails.
	// The connection is not used again, however the answer ends.
	cutter() func()
	// trailer returns the fields behind the body, once Read has returned io.EOF.
	trailer() wire.Fields
	// close ends the exchange. The connection is used again only when the answer
	// was read to its end, ended exactly where it said, and nothing is left.
	close()
}

// endpoint is where a website listens, and how it is spoken to.
type endpoint struct {
	network string // "tcp" or "unix"
	address string // host:port, or the path of a socket
	// tls makes the settings of a new connection, since certificates change; nil:
	// clear text. Its ServerName is set.
	tls func() *tls.Config
	// timeout is the longest wait for the website to take the next bytes of a
	// request, and then to begin its answer.
	timeout     time.Duration
	connections int // at most, at a time; 0: no limit
	headerBytes int // of the head of an answer and of its trailer section, at most
}

// fault is why a website gave no answer, for causes that no error of the standard
// library names: an answer that breaks the standard, or connections that are all in use.
type fault struct {
	kind  Failure
	hint  string // what the operator can do about it
	cause error
}

func (f *fault) Error() string { return f.cause.Error() }
func (f *fault) Unwrap() error { return f.cause }
func (f *fault) Hint() string  { return f.hint }
