<?php
/**
 * A backend in PHP behind a gateway, without dependencies: it signs clients in, answers their events, and publishes.
 *
 *     APP_SECRET=... API_KEY=... GATEWAY=http://localhost:3000 php -S localhost:8000 server.php
 *
 * The gateway's file names it: {"app": {"url": "http://localhost:8000/socket", "secret": "...", "hooks": ["connect"]}}
 */
declare(strict_types=1);

$body = file_get_contents('php://input');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);

if ($path === '/socket') {
    if (!isFromGateway($body)) respond(401, ['error' => 'the signature is wrong']);
    respond(200, answer(json_decode($body, true)));
}
if ($path === '/announce') respond(200, publish('news:today', 'announced', json_decode($body, true)));
respond(404, ['error' => 'there is nothing here']);

/** What a client sent, and who it is: the connect hook and the events. */
function answer(array $request): array
{
    if ($request['type'] === 'connect') return signIn($request['connection']['auth']);
    $name = $request['user']['userId'];
    return match ($request['event']) {
        'join' => ['ack' => [['ok' => true]], 'subscribe' => ['chat:lobby']],
        'say' => [
            'ack' => [['ok' => true]],
            'publish' => [[
                'channel' => 'chat:lobby',
                'event' => 'said',
                'data' => ['text' => iconv_substr((string) $request['args'][0], 0, 500)],
                'from' => ['userId' => $name],
            ]],
        ],
        default => ['ack' => [['ok' => false, 'error' => ['code' => 'unknown_event']]]],
    };
}

/** Your own login comes here, by the cookies of the handshake or by what the page sends. */
function signIn(array $auth): array
{
    $name = $auth['name'] ?? '';
    if (preg_match('/^\w{1,20}$/', $name) !== 1) return ['refuse' => ['code' => 'login_required']];
    return ['userId' => $name, 'info' => ['name' => ucfirst($name)]];
}

/** Standard Webhooks: the same as the gateway's other webhooks. */
function isFromGateway(string $body): bool
{
    [$id, $time] = [$_SERVER['HTTP_WEBHOOK_ID'] ?? '', $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '0'];
    $secret = getenv('APP_SECRET');
    $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6)) : $secret;
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    $given = explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '');
    $isGood = array_filter($given, fn (string $signature): bool => hash_equals($expected, $signature)) !== [];
    return $isGood && abs(time() - (int) $time) < 300;
}

/** Once, however often it is repeated with this key. */
function publish(string $channel, string $event, mixed $data): array
{
    $headers = [
        'Authorization: Bearer ' . getenv('API_KEY'),
        'Content-Type: application/json',
        'Idempotency-Key: ' . bin2hex(random_bytes(16)),
    ];
    $content = json_encode(['channel' => $channel, 'event' => $event, 'data' => $data]);
    $http = ['method' => 'POST', 'header' => $headers, 'content' => $content, 'timeout' => 5, 'ignore_errors' => true];
    for ($attempt = 0; $attempt < 5; $attempt++) {
        $text = @file_get_contents(getenv('GATEWAY') . '/v1/publish', false, stream_context_create(['http' => $http]));
        $answer = json_decode($text === false ? '' : $text, true);
        $isTemporary = $answer === null || in_array($answer['code'] ?? '', ['unavailable', 'draining', 'rate_limited', 'internal'], true);
        if (!$isTemporary) return $answer;
        usleep((int) (100_000 * 2 ** $attempt));
    }
    return ['code' => 'unreachable'];
}

function respond(int $status, array $body): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    exit(json_encode($body));
}
