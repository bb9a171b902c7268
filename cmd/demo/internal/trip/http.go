package trip

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxBody bounds what is read of an answer; no page of the demo comes near it.
const maxBody = 1 << 20

// answer is a response, read to its end.
type answer struct {
	*http.Response
	body string
}

// want is an error unless the answer has the status.
func (a answer) want(status int) error {
	if a.StatusCode == status {
		return nil
	}
	return fmt.Errorf("%s %s answered %s, not %d: %s", a.Request.Method, a.Request.URL, a.Status, status, brief(a.body))
}

// brief cuts a body down to what fits into a line.
func brief(body string) string {
	const most = 160
	body = strings.Join(strings.Fields(body), " ")
	if len(body) > most {
		return body[:most] + " …"
	}
	return body
}

func get(ctx context.Context, client *http.Client, target string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, fmt.Errorf("asking for %s: %w", target, err)
	}
	return do(client, request)
}

// postForm sends a form as a page of the same origin does.
func (t *Trip) postForm(ctx context.Context, path string, form url.Values) (answer, error) {
	return t.post(ctx, t.Origin, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// postJSON sends an object as a script of the same origin does.
func (t *Trip) postJSON(ctx context.Context, path string, object any) (answer, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return answer{}, fmt.Errorf("writing a request: %w", err)
	}
	return t.post(ctx, t.Origin, path, "application/json", bytes.NewReader(body))
}

func (t *Trip) post(ctx context.Context, origin, path, contentType string, body io.Reader) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+path, body)
	if err != nil {
		return answer{}, fmt.Errorf("posting to %s: %w", path, err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Origin", origin)
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	return do(t.browser, request)
}

func do(client *http.Client, request *http.Request) (answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err // says already which request it was
	}
	defer func() { _ = response.Body.Close() }() // was read to its end, or its reading failed
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer of %s: %w", request.URL, err)
	}
	return answer{Response: response, body: string(body)}, nil
}
