# scene, mean, least, greatest, share of dense pixels
{
    for (column = 1; column <= NF; column++) {
        if (pixels == 0 || $column < least) least = $column
        if (pixels == 0 || $column > greatest) greatest = $column
        if ($column >= dense_from) dense++
        sum += $column
        pixels++
    }
}
END { printf "%s,%.3f,%.3f,%.3f,%.2f\n", scene, sum / pixels, least, greatest, dense / pixels }
