<?php
/**
 * Loads WordPress for a program, in the middle of which nothing is asked of another
 * server and no mail is sent.
 */

$_SERVER['REQUEST_METHOD'] = 'GET';
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';

require \Store\WORDPRESS . '/wp-load.php';

add_filter('pre_http_request', static fn () => new WP_Error('offline', 'Nothing is asked of other servers while the shop is set up.'));
add_filter('pre_wp_mail', '__return_false');
